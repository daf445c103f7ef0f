package ltitest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/lti/ltitest"
	"vigil/lti/ltitest/internal/faketool"
)

func proctored(plugin int) ltitest.Config {
	return ltitest.Config{Plugin: plugin, Links: []ltitest.Link{
		{ID: "quiz-7", Title: "Quiz", Settings: `{"vigil":1,"policy":{}}`},
		{ID: "quiz-8", Title: "Not proctored any more", Settings: `{"vigil":1}`, Unproctored: true},
		{ID: "9", Title: "A Vigil activity"},
	}}
}

var groupA = vigil.Group{ID: "12", Name: "Group A"}

// settingsOf is what a launch tells of groups and rights.
func settingsOf(t *testing.T, p *ltitest.Platform, l ltitest.Launch) vigil.Settings {
	t.Helper()
	c := p.Claims(l, "n")
	custom, _ := c[ltitest.ClaimLTI+"custom"].(map[string]any)
	data, _ := custom["vigil_settings"].(string)
	if l.Message == ltitest.StartProctoring {
		settings, _ := c[ltitest.ClaimAP+"proctoring_settings"].(map[string]any)
		data, _ = settings["data"].(string)
	}
	s, err := vigil.ParseSettings(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLaunchesTellOfGroupsAndRights(t *testing.T) {
	p, _, id, clk := setup(t, proctored(0))
	student := ltitest.Launch{Message: ltitest.StartProctoring, ClientID: id.ClientID, UserID: "3", Attempt: 1}
	teacher := ltitest.Launch{Message: ltitest.ResourceLink, ClientID: id.ClientID, UserID: "2"}
	first := settingsOf(t, p, teacher)
	if want := p.Issuer() + "/mod/lti/services.php/access?resource_link=quiz-7"; first.AccessURL != want || first.Plugin != 3 {
		t.Errorf("got %+v, want the address %s", first, want)
	}
	if a := first.Access; a == nil || !a.All || !reflect.DeepEqual(a.Rights, vigil.Rights) || a.Version != clk.Now().UnixMilli() {
		t.Errorf("got %+v, want one who sees everyone and may do everything", a)
	}
	clk.Add(time.Second)
	if again := settingsOf(t, p, teacher); again.Access.Version != first.Access.Version {
		t.Errorf("got version %d, want %d: nothing has changed", again.Access.Version, first.Access.Version)
	}
	p.SetAccess("2", ltitest.Access{Groups: []vigil.Group{groupA}, Rights: []vigil.Right{"watch"}})
	changed := settingsOf(t, p, teacher).Access
	p.SetAccess("2", ltitest.Access{})
	if gone := settingsOf(t, p, teacher).Access; changed.Version != clk.Now().UnixMilli() || changed.All || !reflect.DeepEqual(changed.Groups, []vigil.Group{groupA}) ||
		gone.Version != changed.Version+1 || len(gone.Rights) != 0 {
		t.Errorf("got %+v, then %+v, want versions that grow with each change", changed, gone)
	}
	if a := settingsOf(t, p, student).Access; a == nil || len(a.Groups) != 0 || a.All || a.Rights != nil {
		t.Errorf("got %+v, want a student in no group", a)
	}
	p.SetGroups("3", groupA)
	if a := settingsOf(t, p, student).Access; !reflect.DeepEqual(a.Groups, []vigil.Group{groupA}) {
		t.Errorf("got %+v, want a student in %v", a, groupA)
	}
	// Neither core's own LTI launch nor an older plugin says it.
	activity := teacher
	activity.LinkID = "9"
	if s := settingsOf(t, p, activity); s.Access != nil || s.AccessURL != "" {
		t.Errorf("got %+v of an activity, want nothing", s)
	}
	p, _, id, _ = setup(t, proctored(2))
	student.ClientID = id.ClientID
	if s := settingsOf(t, p, student); s.Access != nil || s.AccessURL != "" || s.Plugin != 2 {
		t.Errorf("got %+v of an older plugin, want nothing", s)
	}
}

// ask asks the platform who may see and do what.
func ask(t *testing.T, p *ltitest.Platform, tool *faketool.Tool, link, body string, change func(header map[string]string)) (int, map[string]any) {
	t.Helper()
	_, token, _ := tool.Token(t.Context(), ltitest.ScopeControl, nil)
	header := map[string]string{
		"Authorization": "Bearer " + fmt.Sprint(token["access_token"]), "Content-Type": ltitest.MediaAccess, "Accept": ltitest.MediaAccess,
	}
	if change != nil {
		change(header)
	}
	status, text, _ := tool.Do(t.Context(), http.MethodPost, p.AccessURL(link), header, body)
	var out map[string]any
	if status == http.StatusOK {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatal(err)
		}
	}
	return status, out
}

func TestThePlatformAnswersWhoMaySeeAndDoWhat(t *testing.T) {
	p, tool, _, _ := setup(t, proctored(0))
	p.SetGroups("3", groupA)
	status, got := ask(t, p, tool, "quiz-7", `{"users":["2","3","nobody"]}`, nil)
	if status != http.StatusOK || len(got["staff"].([]any)) != 3 || len(got["students"].([]any)) != 6 {
		t.Fatalf("got %d %v", status, got)
	}
	for i, user := range []string{"2", "3", "nobody"} {
		a := got["staff"].([]any)[i].(map[string]any)
		if a["user"] != user || a["all"] != (user == "2") || len(a["rights"].([]any)) != map[bool]int{true: len(vigil.Rights)}[user == "2"] || len(a["groups"].([]any)) != 0 {
			t.Errorf("got %v of %s, want rights of the instructor only", a, user)
		}
	}
	for _, s := range got["students"].([]any) {
		a := s.(map[string]any)
		if want := map[bool]int{true: 1}[a["user"] == "3"]; len(a["groups"].([]any)) != want || a["rights"] != nil {
			t.Errorf("got %v, want %d groups and no rights", a, want)
		}
	}
	for name, row := range map[string]struct {
		link, body string
		change     func(map[string]string)
		want       int
	}{
		"a quiz that is not there":   {link: "quiz-99", body: `{"users":[]}`, want: 404},
		"no quiz":                    {body: `{"users":[]}`, want: 404},
		"a quiz without proctoring":  {link: "quiz-8", body: `{"users":[]}`, want: 404},
		"an activity":                {link: "9", body: `{"users":[]}`, want: 404},
		"no users":                   {link: "quiz-7", body: `{}`, want: 400},
		"users a string":             {link: "quiz-7", body: `{"users":"2"}`, want: 400},
		"501 users":                  {link: "quiz-7", body: `{"users":[` + strings.Repeat(`"2",`, 500) + `"2"]}`, want: 400},
		"another media type":         {link: "quiz-7", body: `{"users":[]}`, change: func(h map[string]string) { h["Content-Type"] = "application/json" }, want: 400},
		"another media type is read": {link: "quiz-7", body: `{"users":[]}`, change: func(h map[string]string) { h["Accept"] = "*/*" }, want: 400},
		"no token":                   {link: "quiz-7", body: `{"users":[]}`, change: func(h map[string]string) { delete(h, "Authorization") }, want: 401},
	} {
		if got, _ := ask(t, p, tool, row.link, row.body, row.change); got != row.want {
			t.Errorf("%s: got %d, want %d", name, got, row.want)
		}
	}
}

func TestChangesOfGroupsAndRightsAreReported(t *testing.T) {
	p, tool, id, clk := setup(t, proctored(0))
	if err := p.SendAccess(t.Context()); err != nil || len(tool.Told()) != 0 {
		t.Fatalf("got %v, %d reports, want none: nothing has changed", err, len(tool.Told()))
	}
	p.SetAccess("2", ltitest.Access{})
	p.SetGroups("3", groupA)
	status := http.StatusServiceUnavailable
	tool.Access = func() int { return status }
	if err := p.SendAccess(t.Context()); err == nil {
		t.Error("got no error of a tool that is away")
	}
	status = http.StatusOK
	for range 2 { // the second has nothing to say
		if err := p.SendAccess(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	told := tool.Told()
	if len(told) != 1 {
		t.Fatalf("got %d reports, want one", len(told))
	}
	c := told[0]
	want := map[string]any{
		"iss": p.Issuer(), "aud": id.ClientID, "token_use": "access", "vigil": 3.0, "iat": float64(clk.Now().Unix()), "exp": float64(clk.Now().Unix() + 60),
		ltitest.ClaimLTI + "deployment_id": id.DeploymentID, ltitest.ClaimLTI + "resource_link": map[string]any{"id": "quiz-7"}, "jti": c["jti"],
		"staff": []any{map[string]any{
			"user": "2", "version": float64(clk.Now().UnixMilli() + 1), "all": false, "groups": []any{}, "rights": []any{},
		}},
		"students": []any{map[string]any{
			"user": "3", "version": float64(clk.Now().UnixMilli() + 1), "groups": []any{map[string]any{"id": "12", "name": "Group A"}},
		}},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %v, want %v", c, want)
	}

	// A tool that knows no such quiz need not be told again.
	p.SetGroups("3")
	status = http.StatusNotFound
	for range 2 {
		if err := p.SendAccess(t.Context()); err != nil {
			t.Errorf("got %v, want none", err)
		}
	}
}

func TestManyChangesAreReportedInParts(t *testing.T) {
	p, tool, _, _ := setup(t, proctored(0))
	users := map[string]bool{}
	for range 450 {
		u := p.AddUser(ltitest.User{Given: "A", Family: "B"})
		users[u.ID] = true
		p.SetGroups(u.ID, vigil.Group{ID: "12", Name: strings.Repeat("x", 200)})
	}
	if err := p.SendAccess(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range tool.Told() {
		students := c["students"].([]any)
		if len(students) > 200 {
			t.Errorf("got %d people in one report, want 200 at most", len(students))
		}
		for _, s := range students {
			delete(users, s.(map[string]any)["user"].(string))
		}
	}
	if len(users) != 0 {
		t.Errorf("got no word of %d people", len(users))
	}
}

// What was told, and what no tool has heard, outlives a restart.
func TestGroupsAndRightsOutliveARestart(t *testing.T) {
	p, tool, id, clk := setup(t, proctored(0))
	p.SetAccess("2", ltitest.Access{Groups: []vigil.Group{groupA}, Rights: []vigil.Right{"watch"}})
	state, err := p.Export()
	if err != nil {
		t.Fatal(err)
	}
	cfg := proctored(0)
	cfg.Now, cfg.Issuer = clk.Now, p.Issuer()
	again := ltitest.New(cfg)
	t.Cleanup(again.Close)
	if err := again.Import(state); err != nil {
		t.Fatal(err)
	}
	teacher := ltitest.Launch{Message: ltitest.ResourceLink, ClientID: id.ClientID, UserID: "2"}
	if got, want := settingsOf(t, again, teacher).Access, settingsOf(t, p, teacher).Access; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := again.SendAccess(t.Context()); err != nil || len(tool.Told()) != 1 {
		t.Errorf("got %v, %d reports, want the one that was owed", err, len(tool.Told()))
	}
}
