package lti

import (
	"context"

	"vigil"
)

// Sign signs any claims with one of the tool's own keys.
func (t *Tool) Sign(ctx context.Context, use vigil.KeyUse, typ string, claims any) (string, error) {
	return t.keys.sign(ctx, use, typ, claims)
}

// VerifyVersion1 reads an assertion as programs did that knew version 1 only.
func (t *Tool) VerifyVersion1(ctx context.Context, compact string) (Assertion, error) {
	use := socketUse
	use.checks = assertionChecks
	j, err := t.judgeAssertion(ctx, compact, use)
	if err != nil {
		return Assertion{}, err
	}
	return j.out, nil
}
