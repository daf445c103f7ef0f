package lti_test

import (
	"context"
	"testing"
	"time"

	"vigil/lti"
)

// endedClaims are those of an honest report that an attempt has ended.
func (g *rig) endedClaims(id string) m {
	c := g.assertionClaims(id)
	delete(c, "attempt_end")
	c["token_use"], c["outcome"], c["ended_at"] = "ended", "submitted", g.clock.now().Add(-time.Hour).Unix()
	return c
}

func TestEndedIsReadAndUsedUp(t *testing.T) {
	g := newRig(t)
	token := good().sign(g.endedClaims("e"))
	got, err := g.tool.VerifyEnded(context.Background(), token)
	if err != nil {
		t.Fatal(err)
	}
	if want := g.clock.now().Add(-time.Hour).Unix(); got.Outcome != lti.OutcomeSubmitted || got.At.Unix() != want || got.Attempt != 1 ||
		got.Subject != "u1" || got.ResourceLink != "quiz-2" {
		t.Errorf("got %+v, want what the report says", got)
	}
	_, err = g.tool.VerifyEnded(context.Background(), token)
	wantFault(t, err, lti.ErrAssertionReplay)
}

// Of version 2 a report needs its version only; what it says more is checked all the same.
func TestEndedOfVersion2(t *testing.T) {
	g := newRig(t)
	for _, row := range []struct {
		name   string
		change func(m)
		want   *lti.Fault
	}{
		{"version 2", func(c m) { c["vigil"] = 2 }, nil},
		{"version 2 with all of it", func(c m) {
			c["vigil"], c["told_at"], c["attempt_paused_at"], c["requests"] = 2, g.clock.now().UnixMilli(), 0, []any{"r"}
		}, nil},
		{"proctoring switched off", func(c m) { c["vigil"], c["outcome"] = 2, "switched_off" }, nil},
		{"version null", func(c m) { c["vigil"] = nil }, lti.ErrAssertionVersion},
		{"told in words", func(c m) { c["vigil"], c["told_at"] = 2, "now" }, lti.ErrAssertionToldAt},
		{"a pause in words", func(c m) { c["vigil"], c["attempt_paused_at"] = 2, "now" }, lti.ErrAssertionPausedAt},
		{"requests in words", func(c m) { c["vigil"], c["requests"] = 2, "r" }, lti.ErrAssertionRequests},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := g.endedClaims(row.name)
			row.change(c)
			got, err := g.tool.VerifyEnded(context.Background(), good().sign(c))
			wantFault(t, err, row.want)
			if row.want == nil && (got.Outcome != c["outcome"] || got.Report.Version != 2) {
				t.Errorf("got %+v, want what the report says", got)
			}
		})
	}
}

func TestExportIsReadAndUsedUp(t *testing.T) {
	g := newRig(t)
	for id, version := range map[string]any{"first": 2, "second": 3} {
		c := g.assertionClaims(id)
		delete(c, "attempt_end")
		c["token_use"], c["vigil"] = "export", version
		token := good().sign(c)
		if got, err := g.tool.VerifyExport(context.Background(), token); err != nil || got.Subject != "u1" {
			t.Errorf("got %+v, %v", got, err)
		}
		_, err := g.tool.VerifyExport(context.Background(), token)
		wantFault(t, err, lti.ErrAssertionReplay)
	}
}

func TestEndedRefusals(t *testing.T) {
	g := newRig(t)
	for _, row := range []struct {
		name   string
		change func(m)
		want   *lti.Fault
	}{
		{"an assertion of a quiz page", func(c m) { c["token_use"] = "socket" }, lti.ErrAssertionTokenUse},
		{"with a nonce", func(c m) { c["nonce"] = "n" }, lti.ErrAssertionTokenUse},
		{"an hour old", func(c m) { c["iat"], c["exp"] = g.clock.now().Unix()-3600, g.clock.now().Unix()-3540 }, lti.ErrAssertionExpires},
		{"another deployment", func(c m) { c[claimLTI+"deployment_id"] = "9" }, lti.ErrAssertionDeployment},
		{"no outcome", func(c m) { delete(c, "outcome") }, lti.ErrEndedOutcome},
		{"an unknown outcome", func(c m) { c["outcome"] = "lost" }, lti.ErrEndedOutcome},
		{"no moment", func(c m) { delete(c, "ended_at") }, lti.ErrEndedAt},
		{"a moment to come", func(c m) { c["ended_at"] = g.clock.now().Add(2 * time.Minute).Unix() }, lti.ErrEndedAt},
		{"a moment in words", func(c m) { c["ended_at"] = "now" }, lti.ErrEndedAt},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := g.endedClaims(row.name)
			row.change(c)
			_, err := g.tool.VerifyEnded(context.Background(), good().sign(c))
			wantFault(t, err, row.want)
		})
	}
	_, err := g.tool.VerifyAssertion(context.Background(), good().sign(g.endedClaims("no socket")))
	wantFault(t, err, lti.ErrAssertionTokenUse)
}
