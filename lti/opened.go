package lti

import (
	"context"
	"slices"
	"time"

	"vigil"
)

// tokenUseOpened is the token_use of a report that an attempt was opened.
const tokenUseOpened = "opened"

// Opened is a platform's word, from server to server, that an attempt was opened: an assertion
// whose token_use is "opened" (docs/assertion.md).
type Opened struct {
	Assertion
	At time.Time // when the platform served the first page of the attempt, by its clock
}

// ErrOpenedAt is why a report of an opening was refused, beside the reasons of assertions.
var ErrOpenedAt = &Fault{"opened_at", vigil.CodeInvalid, "The report does not say when the attempt was opened."}

var openedUse = assertionUse{
	tokenUse: tokenUseOpened, life: assertionLife, version: 2, once: true,
	checks: slices.Concat(assertionChecks, reportChecks, []func(*judgedAssertion) error{checkOpenedAt}),
}

// VerifyOpened checks a report of an opening and uses up its id, as VerifyAssertion does.
func (t *Tool) VerifyOpened(ctx context.Context, compact string) (Opened, error) {
	j, err := t.judgeAssertion(ctx, compact, openedUse)
	if err != nil {
		return Opened{}, err
	}
	at, _ := j.claims.integer("opened_at")
	return Opened{Assertion: j.out, At: time.Unix(at, 0)}, nil
}

// checkOpenedAt takes any moment that is not to come, as checkEndedAt does.
func checkOpenedAt(j *judgedAssertion) error {
	at, ok := j.claims.integer("opened_at")
	if !ok || at < 1 || at > j.now.Add(clockSkew).Unix() {
		return ErrOpenedAt.because("opened_at")
	}
	return nil
}
