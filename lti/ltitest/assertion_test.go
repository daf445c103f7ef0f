package ltitest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"vigil/lti/ltitest"
)

func claimsOf(t *testing.T, jwt string) map[string]any {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWS: %q", jwt)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	var m map[string]any
	if err != nil || json.Unmarshal(b, &m) != nil {
		t.Fatalf("not a JWS: %q", jwt)
	}
	return m
}

// The new plugin tells the end as of the start of a pause, the old one lets it move.
func TestAssertionTellsTheEndOfAPausedAttempt(t *testing.T) {
	for _, version := range []int{1, 2, 3} {
		w := newWalker(t, ltitest.Config{Plugin: version})
		s := w.in(ltitest.InProgress, time.Hour)
		end := s.attempt().Ends
		s.ask("update", "u1", minutes("update"))
		w.clk.Add(time.Minute)
		s.ask("pause", "p1", "")
		paused := w.clk.Now()
		w.clk.Add(7*time.Minute + 250*time.Millisecond)
		s.ask("update", "u2", minutes("update"))
		c := claimsOf(t, w.p.Assertion(s.attempt()))
		want := map[string]any{"token_use": "socket", "attempt_end": float64(end.Add(10 * time.Minute).Unix())}
		if version == 1 {
			want["attempt_end"] = float64(end.Add(17 * time.Minute).Unix())
			for _, name := range []string{"vigil", "told_at", "attempt_paused_at", "requests"} {
				want[name] = nil
			}
		} else {
			want["vigil"], want["told_at"] = float64(version), float64(w.clk.Now().UnixMilli())
			want["attempt_paused_at"], want["requests"] = float64(paused.Unix()), []any{"u1", "u2"}
		}
		for name, v := range want {
			if fmt.Sprint(c[name]) != fmt.Sprint(v) {
				t.Errorf("version %d, paused: %s: got %v, want %v", version, name, c[name], v)
			}
		}
		s.ask("resume", "r1", "")
		s.ask("resume", "r2", "") // it runs already: the end holds that, too
		a := s.attempt()
		c = claimsOf(t, w.p.Assertion(a))
		if got, want := c["attempt_end"].(float64), float64(end.Add(17*time.Minute).Unix()); got != want || c["attempt_paused_at"] != nil {
			t.Errorf("version %d, resumed: got %v, want %v", version, c, want)
		}
		if version > 1 && !slices.Equal(a.Requests, []string{"u1", "u2", "r1", "r2"}) {
			t.Errorf("version %d: got %v", version, a.Requests)
		}
	}
}

func TestAssertionNamesTheLatestRequests(t *testing.T) {
	w := newWalker(t, ltitest.Config{})
	s := w.in(ltitest.InProgress, time.Hour)
	a := s.attempt()
	for i := range 205 {
		a.Requests = append(a.Requests, fmt.Sprint("r", i))
	}
	got := claimsOf(t, w.p.Assertion(a))["requests"].([]any)
	if len(got) != 200 || got[0] != "r5" || got[199] != "r204" {
		t.Errorf("got %d requests from %v, want the last 200", len(got), got[0])
	}
}

func TestPageStampSaysWhenThePageWasServed(t *testing.T) {
	w := newWalker(t, ltitest.Config{})
	a := w.in(ltitest.InProgress, time.Hour).attempt()
	requested := w.clk.Now()
	w.clk.Add(1500 * time.Millisecond)
	first, second := claimsOf(t, w.p.PageStamp(a, requested, w.clk.Now())), claimsOf(t, w.p.PageStamp(a, requested, w.clk.Now()))
	ms := float64(requested.UnixMilli())
	if first["token_use"] != "page" || first["page_requested_at"] != ms || first["page_answered_at"] != ms+1500 || first["told_at"] != ms+1500 ||
		first["exp"].(float64)-first["iat"].(float64) != 86400 || first["vigil"] != 3.0 || first["jti"] == second["jti"] {
		t.Errorf("got %v", first)
	}
	for _, cfg := range []ltitest.Config{{Plugin: 1}, {Plugin: -1}, {Like: ltitest.OpenEdX}, {NoProctoring: true}} {
		p, _, _, _ := setup(t, cfg)
		if got := p.PageStamp(a, requested, w.clk.Now()); got != "" {
			t.Errorf("%+v: got a stamp", cfg)
		}
	}
}

func TestSettingsSayVersionAndBeginning(t *testing.T) {
	for _, row := range []struct {
		cfg   ltitest.Config
		data  string
		fresh string
		again string // %d: when it began
	}{
		{ltitest.Config{Plugin: 2}, `{"vigil":1,"policy":{"pause":false}}`, `{"attempt_started":0,"policy":{"pause":false},"vigil":2}`, `{"attempt_started":%d,"policy":{"pause":false},"vigil":2}`},
		{ltitest.Config{Plugin: 1}, `{"vigil":2,"policy":{}}`, `{"policy":{},"vigil":1}`, `{"policy":{},"vigil":1}`},
		{ltitest.Config{}, `somebody else's`, `somebody else's`, `somebody else's`},
		{ltitest.Config{}, `{"x":1}`, `{"x":1}`, `{"x":1}`},
		{ltitest.Config{Like: ltitest.OpenEdX}, `{"vigil":1}`, `{"vigil":1}`, `{"vigil":1}`},
		{ltitest.Config{Plugin: -1}, `{"vigil":1}`, `{"vigil":1}`, `{"vigil":1}`},
	} {
		row.cfg.Links = []ltitest.Link{{ID: "quiz-7", Settings: row.data}}
		p, _, id, clk := setup(t, row.cfg)
		launch := ltitest.Launch{Message: ltitest.StartProctoring, ClientID: id.ClientID, UserID: "3", Attempt: 1}
		settings := func() any {
			m, _ := p.Claims(launch, "n")[ltitest.ClaimAP+"proctoring_settings"].(map[string]any)
			return m["data"]
		}
		if got := settings(); got != row.fresh {
			t.Errorf("%s: got %v, want %s", row.data, got, row.fresh)
		}
		open(t, signedIn(p, "3"), p.Begin(launch))
		want := row.again
		if strings.Contains(want, "%") {
			want = fmt.Sprintf(want, clk.Now().Unix())
		}
		clk.Add(time.Minute)
		if got := settings(); got != want {
			t.Errorf("%s, begun: got %v, want %s", row.data, got, want)
		}
	}
}

func TestReportsAreOwedUntilTheToolTakesThem(t *testing.T) {
	w := newWalker(t, ltitest.Config{})
	status := http.StatusServiceUnavailable
	w.tool.Ended = func() int { return status }
	handedIn, timeUp, stopped := w.in(ltitest.Over, time.Hour), w.in(ltitest.InProgress, time.Minute), w.in(ltitest.Stopped, time.Hour)
	deleted, off, gone := w.in(ltitest.Deleted, time.Hour), w.in(ltitest.Unproctored, time.Hour), w.in(ltitest.Over, time.Hour)
	if err := w.p.Delete(gone.attempt().ID); err != nil { // the last word counts
		t.Fatal(err)
	}
	w.in(ltitest.InProgress, time.Hour) // nothing to report
	ended := w.clk.Now()
	w.clk.Add(2 * time.Minute)
	if err := w.p.SendReports(t.Context(), 0); err == nil || len(w.p.Owed()) != 6 || len(w.tool.Reports()) != 0 {
		t.Fatalf("a tool that is away: got %v, %d owed, want 6", err, len(w.p.Owed()))
	}
	status = http.StatusOK
	if err := w.p.SendReports(t.Context(), 90*time.Second); err != nil {
		t.Fatal(err)
	}
	if owed := w.p.Owed(); len(owed) != 1 || owed[0].Attempt.ID != timeUp.attempt().ID {
		t.Errorf("got %d owed, want the attempt whose time was up a minute ago", len(owed))
	}
	if err := w.p.SendReports(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]any{}
	for _, c := range w.tool.Reports() {
		got[fmt.Sprint(c["sub"])] = c
	}
	for _, row := range []struct {
		s       seat
		outcome string
		at      time.Time
	}{
		{handedIn, "submitted", ended},
		{timeUp, "submitted", ended.Add(time.Minute)},
		{stopped, "submitted", ended},
		{deleted, "deleted", ended},
		{off, "switched_off", ended},
		{gone, "deleted", ended},
	} {
		c := got[row.s.user]
		if c["outcome"] != row.outcome || c["ended_at"] != float64(row.at.Unix()) || c["vigil"] != 3.0 {
			t.Errorf("got %v, want %s at %d", c, row.outcome, row.at.Unix())
		}
	}
	// It goes on, and ends later.
	if _, err := w.p.HandIn(off.attempt().ID); err != nil {
		t.Fatal(err)
	}
	if err := w.p.SendReports(t.Context(), 0); err != nil || len(w.p.Owed()) != 0 {
		t.Errorf("got %v, %d owed, want none", err, len(w.p.Owed()))
	}
	if all := w.tool.Reports(); len(all) != 7 || all[6]["outcome"] != "submitted" || all[6]["sub"] != off.user {
		t.Errorf("got %d reports, the last %v", len(all), all[len(all)-1])
	}
}

func TestWhoReportsWhat(t *testing.T) {
	for _, row := range []struct {
		cfg  ltitest.Config
		want []string
	}{
		{ltitest.Config{}, []string{"switched_off", "submitted"}},
		{ltitest.Config{Plugin: 1}, []string{"submitted"}},
		{ltitest.Config{Like: ltitest.OpenEdX}, nil},
		{ltitest.Config{Plugin: -1}, nil},
	} {
		w := newWalker(t, row.cfg)
		w.in(ltitest.Unproctored, time.Hour)
		w.in(ltitest.Over, time.Hour)
		var got []string
		for _, r := range w.p.Owed() {
			got = append(got, r.Outcome)
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%+v: got %v, want %v", row.cfg, got, row.want)
		}
	}
	// A tool that does not know the attempt, or the outcome, need not be asked again.
	for outcome, status := range map[ltitest.Condition]int{ltitest.Over: http.StatusNotFound, ltitest.Unproctored: http.StatusBadRequest} {
		w := newWalker(t, ltitest.Config{})
		w.tool.Ended = func() int { return status }
		w.in(outcome, time.Hour)
		if err := w.p.SendReports(t.Context(), 0); err != nil || len(w.p.Owed()) != 0 {
			t.Errorf("%s, answered %d: got %v, %d owed, want none", outcome, status, err, len(w.p.Owed()))
		}
	}
}

func TestTeachersChangeAttempts(t *testing.T) {
	w := newWalker(t, ltitest.Config{})
	s := w.in(ltitest.InProgress, time.Hour)
	end := w.clk.Now().Add(3 * time.Hour)
	if a, err := w.p.MoveEnd(s.attempt().ID, end); err != nil || !a.Ends.Equal(end) {
		t.Errorf("moved: got %s, %v, want %s", a.Ends, err, end)
	}
	s.ask("pause", "p", "")
	w.clk.Add(5 * time.Minute)
	if err := w.p.SwitchOff(s.link); err != nil {
		t.Fatal(err)
	}
	if a := s.attempt(); a.Status != ltitest.Running || !a.Ends.Equal(end.Add(5*time.Minute)) {
		t.Errorf("switched off while paused: got %s until %s, want it running with its time back", a.Status, a.Ends)
	}
	if page := open(t, signedIn(w.p, s.user), w.p.Issuer()+"/vigil/assertion?attempt="+s.attempt().ID); page.Status != http.StatusGone {
		t.Errorf("an assertion without proctoring: got %d, want 410", page.Status)
	}
	if err := w.p.SwitchOn(s.link); err != nil {
		t.Fatal(err)
	}
	if page := open(t, signedIn(w.p, s.user), w.p.Issuer()+"/vigil/assertion?attempt="+s.attempt().ID); page.Status != http.StatusOK {
		t.Errorf("switched on again: got %d, want 200", page.Status)
	}
	if _, err := w.p.HandIn(s.attempt().ID); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"handed in twice": second(w.p.HandIn(s.attempt().ID)), "moved when over": second(w.p.MoveEnd(s.attempt().ID, end)),
		"no such attempt": w.p.Delete("x"), "no such activity": w.p.SwitchOff("x"),
		"proctored": second(w.p.StartUnproctored(ltitest.Launch{LinkID: s.link})),
	} {
		if err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	// The number of a deleted attempt is used again.
	if err := w.p.Delete(s.attempt().ID); err != nil {
		t.Fatal(err)
	}
	open(t, signedIn(w.p, s.user), w.p.Begin(ltitest.Launch{Message: ltitest.StartProctoring, ClientID: w.id.ClientID, UserID: s.user, LinkID: s.link, Attempt: 1}))
	if _, m := s.ask("pause", "p", ""); m["applied"] != "now" {
		t.Errorf("the new attempt of that number: got %v, want now", m)
	}
}

func second[T any](_ T, err error) error { return err }

func TestStateKeepsWhatIsOwedAndDeleted(t *testing.T) {
	w := newWalker(t, ltitest.Config{})
	s := w.in(ltitest.Deleted, time.Hour)
	b, err := w.p.Export()
	if err != nil {
		t.Fatal(err)
	}
	again := ltitest.New(ltitest.Config{Issuer: w.p.Issuer(), Now: w.clk.Now})
	defer again.Close()
	if err := again.Import(b); err != nil {
		t.Fatal(err)
	}
	if owed := again.Owed(); len(owed) != 1 || owed[0].Outcome != "deleted" || owed[0].Attempt.UserID != s.user {
		t.Errorf("got %+v owed", owed)
	}
	got, err := again.Apply(ltitest.Control{ClientID: w.id.ClientID, UserID: s.user, LinkID: s.link, Attempt: 1, Action: "pause", Request: "r", Applied: true})
	if err != nil || got.Verdict.Reason != "gone" {
		t.Errorf("got %+v, %v, want gone", got, err)
	}
}
