package lti

import (
	"context"
	"slices"
	"time"

	"vigil"
)

const (
	// tokenUseEnded is the token_use of a report that an attempt has ended.
	tokenUseEnded = "ended"
	// tokenUseExport is the token_use of a question for all that is kept of an attempt.
	tokenUseExport = "export"
	// tokenUseStanding is the token_use of a report of how an attempt stands.
	tokenUseStanding = "standing"
)

// The outcomes of an attempt, as a platform reports them.
const (
	OutcomeSubmitted   = "submitted"    // handed in, by whomever: the student, a clock, a proctor's command
	OutcomeAbandoned   = "abandoned"    // its time ran out and nothing was handed in
	OutcomeSwitchedOff = "switched_off" // it goes on, but the quiz is not proctored any more
	OutcomeDeleted     = "deleted"      // it is gone; its number may be used again
	OutcomeErased      = "erased"       // it is gone for privacy's sake: nothing of it may be kept
)

var outcomes = []string{OutcomeSubmitted, OutcomeAbandoned, OutcomeSwitchedOff, OutcomeDeleted, OutcomeErased}

// Ended is a platform's word, from server to server, that an attempt has ended, or is not
// proctored any more: an
// assertion whose token_use is "ended" (docs/assertion.md).
type Ended struct {
	Assertion
	Outcome string
	At      time.Time
}

// Why a report of an end was refused, beside the reasons of assertions.
var (
	ErrEndedOutcome = &Fault{"ended_outcome", vigil.CodeInvalid, "The report does not say how the attempt ended."}
	ErrEndedAt      = &Fault{"ended_at", vigil.CodeInvalid, "The report does not say when the attempt ended."}
)

// Reports of an end, and questions for what is kept, need not say when the attempt ends.
var (
	endedUse = assertionUse{
		tokenUse: tokenUseEnded, life: assertionLife, version: 1, once: true,
		checks: slices.Concat(assertionChecks, reportChecks, []func(*judgedAssertion) error{checkOutcome, checkEndedAt}),
	}
	exportUse = assertionUse{
		tokenUse: tokenUseExport, life: assertionLife, version: 1, once: true,
		checks: slices.Concat(assertionChecks, reportChecks),
	}
	standingUse = assertionUse{
		tokenUse: tokenUseStanding, life: assertionLife, version: 2, report: true, once: true,
		checks: slices.Concat(assertionChecks, reportChecks),
	}
)

// VerifyEnded checks a report of an end and uses up its id, as VerifyAssertion does.
func (t *Tool) VerifyEnded(ctx context.Context, compact string) (Ended, error) {
	j, err := t.judgeAssertion(ctx, compact, endedUse)
	if err != nil {
		return Ended{}, err
	}
	outcome, _ := j.claims.str("outcome")
	at, _ := j.claims.integer("ended_at")
	return Ended{Assertion: j.out, Outcome: outcome, At: time.Unix(at, 0)}, nil
}

// VerifyExport checks a platform's question, from server to server, for what is kept of an
// attempt, and uses up its id, as VerifyAssertion does.
func (t *Tool) VerifyExport(ctx context.Context, compact string) (Assertion, error) {
	j, err := t.judgeAssertion(ctx, compact, exportUse)
	if err != nil {
		return Assertion{}, err
	}
	return j.out, nil
}

// VerifyStanding checks a platform's report, from server to server, of how an attempt stands
// now: that it holds it, say. It uses up its id, as VerifyAssertion does.
func (t *Tool) VerifyStanding(ctx context.Context, compact string) (Assertion, error) {
	j, err := t.judgeAssertion(ctx, compact, standingUse)
	if err != nil {
		return Assertion{}, err
	}
	return j.out, nil
}

func checkOutcome(j *judgedAssertion) error {
	if outcome, _ := j.claims.str("outcome"); !slices.Contains(outcomes, outcome) {
		return ErrEndedOutcome.because("outcome")
	}
	return nil
}

// checkEndedAt takes any moment that is not to come: a report may have waited for days
// until we could be reached.
func checkEndedAt(j *judgedAssertion) error {
	at, ok := j.claims.integer("ended_at")
	if !ok || at < 1 || at > j.now.Add(clockSkew).Unix() {
		return ErrEndedAt.because("ended_at")
	}
	return nil
}
