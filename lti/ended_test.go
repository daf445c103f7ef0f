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
