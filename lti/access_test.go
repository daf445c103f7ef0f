package lti_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/lti"
)

// accessClaims are those of an honest report of groups and rights.
func (g *rig) accessClaims(id string) m {
	c := g.assertionClaims(id)
	for _, name := range []string{"sub", claimAP + "attempt_number", "attempt_end"} {
		delete(c, name)
	}
	c["token_use"], c["vigil"] = "access", 3
	c["staff"] = []any{m{"user": "5", "version": 1790000000123, "all": false, "groups": []any{m{"id": "12", "name": "Group A"}}, "rights": []any{"watch", "talk", "fly"}}}
	c["students"] = []any{m{"user": "9", "version": 1790000000124, "groups": []any{m{"id": "12", "name": "Group A"}}}}
	return c
}

func groupA() []vigil.Group { return []vigil.Group{{ID: "12", Name: "Group A"}} }

func TestAccessReportIsReadAndUsedUp(t *testing.T) {
	g := newRig(t)
	token := good().sign(g.accessClaims("a"))
	got, err := g.tool.VerifyAccess(context.Background(), token)
	if err != nil {
		t.Fatal(err)
	}
	if got.Platform.ID != g.p.ID || got.Deployment != "1" || got.ResourceLink != "quiz-2" {
		t.Errorf("got %+v, want the quiz of the report", got)
	}
	staff := []vigil.Access{{UserID: "5", Version: 1790000000123, Groups: groupA(), Rights: []vigil.Right{"watch", "talk"}}}
	students := []vigil.Access{{UserID: "9", Version: 1790000000124, Groups: groupA()}}
	if !reflect.DeepEqual(got.Staff, staff) || !reflect.DeepEqual(got.Students, students) {
		t.Errorf("got %+v and %+v, want %+v and %+v", got.Staff, got.Students, staff, students)
	}
	_, err = g.tool.VerifyAccess(context.Background(), token)
	wantFault(t, err, lti.ErrAssertionReplay)
}

// A student never becomes staff, whatever the report says of them.
func TestAccessReportGivesStudentsNoRights(t *testing.T) {
	g := newRig(t)
	c := g.accessClaims("a")
	c["students"] = []any{m{"user": "9", "version": 1, "all": true, "rights": []any{"watch"}}}
	got, err := g.tool.VerifyAccess(context.Background(), good().sign(c))
	if err != nil || got.Students[0].All || got.Students[0].Rights != nil || got.Students[0].Sees(nil) {
		t.Errorf("got %+v, %v, want a student without rights", got.Students, err)
	}
}

// people are n records of students.
func people(n int, name string) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = m{"user": fmt.Sprint(i), "version": 1790000000123, "groups": []any{m{"id": "12", "name": name}}}
	}
	return out
}

func TestAccessReportOf200PeopleFits(t *testing.T) {
	g := newRig(t)
	c := g.accessClaims("a")
	c["staff"], c["students"] = []any{}, people(200, strings.Repeat("x", 140))
	token := good().sign(c)
	if len(token) < 55_000 || len(token) > 60_000 {
		t.Fatalf("got a token of %d bytes, want one near the bound", len(token))
	}
	got, err := g.tool.VerifyAccess(context.Background(), token)
	if err != nil || len(got.Students) != 200 {
		t.Errorf("got %d students, %v", len(got.Students), err)
	}
}

func TestAccessReportRefusals(t *testing.T) {
	g := newRig(t)
	staff := func(change func(m)) func(m) {
		return func(c m) { change(c["staff"].([]any)[0].(m)) }
	}
	set := func(name string, value any) func(m) { return func(c m) { c[name] = value } }
	for _, row := range []struct {
		name   string
		change func(m)
		want   *lti.Fault
	}{
		{"a report of an end", set("token_use", "ended"), lti.ErrAssertionTokenUse},
		{"with a nonce", set("nonce", "n"), lti.ErrAssertionTokenUse},
		{"foreign azp", set("azp", "x"), lti.ErrAssertionAudience},
		{"an hour old", func(c m) { c["iat"], c["exp"] = g.clock.now().Unix()-3600, g.clock.now().Unix()-3540 }, lti.ErrAssertionExpires},
		{"not made yet", func(c m) { c["iat"], c["exp"] = g.clock.now().Unix()+61, g.clock.now().Unix()+70 }, lti.ErrAssertionIssuedAt},
		{"without an id", func(c m) { delete(c, "jti") }, lti.ErrAssertionID},
		{"about a user", set("sub", "u1"), lti.ErrAccessSubject},
		{"about a user who is null", set("sub", nil), lti.ErrAccessSubject},
		{"about an attempt", set(claimAP+"attempt_number", 1), lti.ErrAccessSubject},
		{"another deployment", set(claimLTI+"deployment_id", "9"), lti.ErrAssertionDeployment},
		{"no deployment", func(c m) { delete(c, claimLTI+"deployment_id") }, lti.ErrAssertionDeployment},
		{"no quiz", func(c m) { delete(c, claimLTI+"resource_link") }, lti.ErrAssertionResourceLink},
		{"no version", func(c m) { delete(c, "vigil") }, lti.ErrAssertionVersion},
		{"version 2", set("vigil", 2), lti.ErrAssertionVersion},
		{"no staff", func(c m) { delete(c, "staff") }, lti.ErrAccessPeople},
		{"no students", func(c m) { delete(c, "students") }, lti.ErrAccessPeople},
		{"staff an object", set("staff", m{"5": m{}}), lti.ErrAccessPeople},
		{"a person a string", set("staff", []any{"5"}), lti.ErrAccessPeople},
		{"a person without a name", staff(func(a m) { delete(a, "user") }), lti.ErrAccessPeople},
		{"a person with an empty name", staff(func(a m) { a["user"] = " " }), lti.ErrAccessPeople},
		{"a person whose name is a number", staff(func(a m) { a["user"] = 5 }), lti.ErrAccessPeople},
		{"a person whose name is too long", staff(func(a m) { a["user"] = strings.Repeat("5", 256) }), lti.ErrAccessPeople},
		{"a person under another spelling", staff(func(a m) { a["USER"] = "5"; delete(a, "user") }), lti.ErrAccessPeople},
		{"without a version of the record", staff(func(a m) { delete(a, "version") }), lti.ErrAccessPeople},
		{"a version of 0", staff(func(a m) { a["version"] = 0 }), lti.ErrAccessPeople},
		{"a version in words", staff(func(a m) { a["version"] = "1" }), lti.ErrAccessPeople},
		{"all in words", staff(func(a m) { a["all"] = "false" }), lti.ErrAccessPeople},
		{"groups an object", staff(func(a m) { a["groups"] = m{} }), lti.ErrAccessPeople},
		{"a group without an id", staff(func(a m) { a["groups"] = []any{m{"name": "A"}} }), lti.ErrAccessPeople},
		{"rights a string", staff(func(a m) { a["rights"] = "watch" }), lti.ErrAccessPeople},
		{"a student that cannot be read", set("students", []any{m{}}), lti.ErrAccessPeople},
		{"201 people", set("students", people(200, "A")), lti.ErrAccessBounds},
		{"over 60,000 bytes", set("students", people(150, strings.Repeat("x", 250))), lti.ErrAssertionForm},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := g.accessClaims(row.name)
			row.change(c)
			_, err := g.tool.VerifyAccess(context.Background(), good().sign(c))
			wantFault(t, err, row.want)
		})
	}
	_, evil := testKeys()
	_, err := g.tool.VerifyAccess(context.Background(), evil.sign(g.accessClaims("forged")))
	wantFault(t, err, lti.ErrAssertionKey)
	for name, verify := range map[string]func(string) error{
		"a socket": func(token string) error {
			_, err := g.tool.VerifyAssertion(context.Background(), token)
			return err
		},
		"a report of an end": func(token string) error { _, err := g.tool.VerifyEnded(context.Background(), token); return err },
		"a question":         func(token string) error { _, err := g.tool.VerifyExport(context.Background(), token); return err },
	} {
		t.Run("not for "+name, func(t *testing.T) {
			wantFault(t, verify(good().sign(g.accessClaims("not for "+name))), lti.ErrAssertionTokenUse)
		})
	}
}

func (g *services) access(users ...string) (lti.AccessReport, error) {
	return g.tool.Access(context.Background(), g.p, g.server.URL+"/access?resource_link=quiz-2", users)
}

const accessAnswer = `{"staff":[{"user":"5","version":7,"all":true,"groups":[],"rights":["watch","export"]},{"user":"6","version":8,"all":true,"rights":["watch"]}],` +
	`"students":[{"user":"9","version":9,"groups":[{"id":"12","name":"Group A"}]},{"user":"10","version":9,"groups":[]}],"later":1}`

func TestStudentsAsksForTheNamesThatAProctorMayRead(t *testing.T) {
	g := newServices(t)
	long := strings.Repeat("é", 200)
	g.service = status(200, `{"staff":[{"user":"5","version":7}],"students":[{"user":"9","version":9,"name":" Amara\tOkafor "},`+
		`{"user":"10","version":9},{"user":"11","version":9,"name":7},{"user":"12","version":9,"name":"`+long+`"}]}`)
	ask := func() (lti.AccessReport, error) {
		return g.tool.Students(context.Background(), g.p, g.server.URL+"/access?resource_link=quiz-2", "5")
	}
	got, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	if g.bodies[0] != `{"users":[],"names_for":"5"}` || len(got.Staff) > 0 || len(got.Students) != 4 {
		t.Errorf("got %+v of %s, want all students and no staff", got, g.bodies[0])
	}
	if len(got.Names) != 2 || got.Names["9"] != "Amara Okafor" || len(got.Names["12"]) > 255 || !strings.HasSuffix(got.Names["12"], "…") {
		t.Errorf("got names %q, want those that are names, tidied and cut", got.Names)
	}

	many := make([]string, lti.MaxStudentNames+1)
	for i := range many {
		many[i] = fmt.Sprintf(`{"user":"%d","version":1,"name":"N"}`, i+1)
	}
	g.service = status(200, `{"staff":[],"students":[`+strings.Join(many, ",")+`]}`)
	if got, err = ask(); err != nil || len(got.Names) != lti.MaxStudentNames || len(got.Students) != len(many) {
		t.Errorf("got %d names and %d students, %v, want %d names of all students", len(got.Names), len(got.Students), err, lti.MaxStudentNames)
	}
	g.service = status(200, accessAnswer)
	if got, err = g.access("5"); err != nil || got.Names != nil {
		t.Errorf("got names %q, %v, want none where nobody asked for them", got.Names, err)
	}
	_, err = g.tool.Students(context.Background(), g.p, g.server.URL+"/access", " ")
	wantFault(t, err, lti.ErrAccessInput)
}

func TestAccessAsksThePlatform(t *testing.T) {
	g := newServices(t)
	g.service = status(200, accessAnswer)
	got, err := g.access("5")
	if err != nil {
		t.Fatal(err)
	}
	staff := []vigil.Access{{UserID: "5", Version: 7, All: true, Rights: []vigil.Right{"watch", "export"}}}
	students := []vigil.Access{{UserID: "9", Version: 9, Groups: groupA()}, {UserID: "10", Version: 9}}
	if !reflect.DeepEqual(got.Staff, staff) || !reflect.DeepEqual(got.Students, students) {
		t.Errorf("got %+v and %+v, want %+v and %+v: nobody who was not asked of", got.Staff, got.Students, staff, students)
	}
	r := g.calls[0]
	const media = "application/vnd.vigil.access.v1+json"
	if r.Method != http.MethodPost || r.URL.RawQuery != "resource_link=quiz-2" || r.Header.Get("Content-Type") != media || r.Header.Get("Accept") != media ||
		r.Header.Get("Authorization") != "Bearer t1" || g.bodies[0] != `{"users":["5"]}` {
		t.Errorf("got %s %s %v %s", r.Method, r.URL, r.Header, g.bodies[0])
	}
	if got := g.forms[0]["scope"]; got != lti.ScopeControl {
		t.Errorf("got scope %s, want that of Assessment Control", got)
	}
	if _, err := g.access(); err != nil || g.bodies[1] != `{"users":[]}` {
		t.Errorf("got %v, %s, want a question of students only", err, g.bodies[1])
	}
}

func TestAccessThatIsNotTold(t *testing.T) {
	many := strings.Repeat(`{"user":"9","version":9},`, 20_000)
	for _, row := range []struct {
		name    string
		service func(http.ResponseWriter, *http.Request) bool
		want    *lti.Fault
	}{
		{"404", status(404, ``), lti.ErrAccessUnknown},
		{"403", status(403, ``), lti.ErrAccessRefused},
		{"500", status(500, ``), lti.ErrAccessAnswer},
		{"redirect", status(302, ``), lti.ErrAccessAnswer},
		{"a page of HTML", status(200, `<html>`), lti.ErrAccessAnswer},
		{"an array", status(200, `[]`), lti.ErrAccessAnswer},
		{"no staff", status(200, `{"students":[]}`), lti.ErrAccessAnswer},
		{"no students", status(200, `{"staff":[]}`), lti.ErrAccessAnswer},
		{"a name twice", status(200, `{"staff":[],"staff":[],"students":[]}`), lti.ErrAccessAnswer},
		{"staff that cannot be read", status(200, `{"staff":[{"user":"5"}],"students":[]}`), lti.ErrAccessAnswer},
		{"a student who cannot be read", status(200, `{"staff":[],"students":[{"version":1}]}`), lti.ErrAccessAnswer},
		{"more students than a course has", status(200, `{"staff":[],"students":[`+many+`{}]}`), lti.ErrAccessAnswer},
		{"more staff than was asked of", status(200, `{"students":[],"staff":[`+many[:25*501]+`{}]}`), lti.ErrAccessAnswer},
		{"answer over 4 MB", status(200, strings.Repeat(" ", 4<<20)+`{"staff":[],"students":[]}`), lti.ErrAccessAnswer},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newServices(t)
			g.service = row.service
			got, err := g.access("5")
			wantFault(t, err, row.want)
			if got.Staff != nil || got.Students != nil {
				t.Errorf("got %+v of an answer that failed", got)
			}
		})
	}
	g := newServices(t)
	for _, users := range [][]string{{""}, {"a\nb"}, strings.Split(strings.Repeat("a", 501), "")} {
		_, err := g.access(users...)
		wantFault(t, err, lti.ErrAccessInput)
	}
	for _, elsewhere := range []string{"https://evil.example/access", "", "javascript:alert(1)", strings.Replace(g.server.URL, "127.0.0.1", "localhost", 1) + "/access"} {
		_, err := g.tool.Access(context.Background(), g.p, elsewhere, nil)
		wantFault(t, err, lti.ErrAccessURL)
	}
	if g.callCount() != 0 {
		t.Errorf("got %d calls, want none to where the platform is not", g.callCount())
	}
	g.token = func(w http.ResponseWriter, _ string) { _, _ = w.Write([]byte(`{"access_token":"a","scope":""}`)) }
	_, err := g.access("5")
	wantFault(t, err, lti.ErrTokenScope)
}

func TestSettingsTellOfGroupsAndRights(t *testing.T) {
	g := newRig(t)
	data := func(url, access string) string {
		return `{"vigil":3,"access_url":"` + url + `","access":` + access + `}`
	}
	url := g.p.Issuer + "/mod/lti/services.php/access?resource_link=quiz-2"
	s, err := lti.ReadSettings(g.p, data(url, `{"version":7,"groups":[{"id":"12","name":" A\u202e\u0000 \n B "}],"rights":["watch"]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := vigil.Access{Version: 7, Groups: []vigil.Group{{ID: "12", Name: "A B"}}, Rights: []vigil.Right{"watch"}}
	if s.AccessURL != url || !reflect.DeepEqual(*s.Access, want) {
		t.Errorf("got %q, %+v, want %+v", s.AccessURL, s.Access, want)
	}
	for _, elsewhere := range []string{"https://evil.example/access", "/access", strings.Replace(url, "127.0.0.1", "localhost", 1)} {
		_, err := lti.ReadSettings(g.p, data(elsewhere, `{"version":7}`))
		wantFault(t, err, lti.ErrLaunchAccessURL)
	}
	if _, err := lti.ReadSettings(g.p, data(url, `{"version":"x"}`)); !errors.Is(err, vigil.ErrInvalid) {
		t.Errorf("got %v, want invalid", err)
	}
	if s, err := lti.ReadSettings(g.p, `{"vigil":2}`); err != nil || s.AccessURL != "" || s.Access != nil {
		t.Errorf("got %+v, %v of an older plugin", s, err)
	}
}

// php writes a value as PHP's json_encode does: what is not ASCII in escapes.
func php(t *testing.T, v any) json.RawMessage {
	t.Helper()
	var out strings.Builder
	for _, r := range string(mustJSON(v)) {
		if r < 0x80 {
			out.WriteRune(r)
		} else {
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return json.RawMessage(out.String())
}

// phpString is a JSON string that holds a JSON text, in which PHP doubles each backslash.
func phpString(text json.RawMessage) json.RawMessage {
	return json.RawMessage(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(text)) + `"`)
}

// A proctor of a course with 300 groups, and a student in all of them, come in, in whatever
// script the groups' names are.
func TestLaunchWithHundredsOfGroups(t *testing.T) {
	g := newRig(t)
	good, _ := testKeys()
	for _, letter := range []string{"A", "ü", "組"} {
		groups := make([]any, 300)
		for i := range groups {
			groups[i] = m{"id": fmt.Sprint(100_000 + i), "name": strings.Repeat(letter, 60)}
		}
		settings := phpString(php(t, m{
			"vigil": 3, "policy": m{}, "access_url": g.p.Issuer + "/access", "access": m{"version": 1790000000123, "all": false, "groups": groups, "rights": vigil.Rights},
		}))
		for kind, read := range map[lti.MessageType]func(lti.Launch) string{
			lti.MessageResourceLink:    func(l lti.Launch) string { return l.Custom["vigil_settings"] },
			lti.MessageStartProctoring: func(l lti.Launch) string { return l.Proctoring.Settings },
		} {
			l := g.begin()
			c := g.claims(kind, l)
			c[claimLTI+"custom"] = m{"vigil_settings": "%"}
			if kind == lti.MessageStartProctoring {
				c[claimLTI+"custom"], c[claimAP+"proctoring_settings"] = m{}, m{"data": "%"}
			}
			payload := strings.Replace(string(mustJSON(c)), `"%"`, string(settings), 1)
			token := signRaw(good.key, mustJSON(m{"alg": "RS256", "kid": "good"}), []byte(payload))
			got, _, err := g.post(map[string][]string{"state": {l.state}, "id_token": {token}}, l.cookie)
			if err != nil {
				t.Fatalf("%s, %q, a token of %d bytes: %v", kind, letter, len(token), err)
			}
			s, err := lti.ReadSettings(g.p, read(got))
			if err != nil || s.Access == nil || len(s.Access.Groups) != 300 || s.Access.Groups[299].Name != strings.Repeat(letter, 60) {
				t.Errorf("%s, %q: got %+v, %v", kind, letter, s.Access, err)
			}
		}
	}
}

func TestSocketTokenNamesTheAccessRecord(t *testing.T) {
	g := newRig(t)
	g.ensureKeys()
	ctx := context.Background()
	for _, version := range []int64{0, 1, 1790000000123} {
		token, _, err := g.tool.MintSocket(ctx, vigil.SocketClaims{Subject: "p|5", Exam: "e", Role: "proctor", Access: version})
		if err != nil {
			t.Fatal(err)
		}
		got, err := g.tool.VerifySocket(ctx, token)
		if err != nil || got.Access != version {
			t.Errorf("got %d, %v, want %d", got.Access, err, version)
		}
	}
	for _, bad := range []any{"1", 0, -1, 1.5} {
		now := g.clock.now()
		token, err := g.tool.Sign(ctx, vigil.KeySocket, "vigil-socket+jwt", m{
			"aud": lti.SocketAudience, "sub": "p|5", "exam": "e", "role": "proctor", "jti": "x", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "access": bad,
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.tool.VerifySocket(ctx, token)
		wantFault(t, err, lti.ErrSocketClaims)
	}
}
