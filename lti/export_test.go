package lti

import (
	"context"

	"vigil"
)

// Sign signs any claims with one of the tool's own keys.
func (t *Tool) Sign(ctx context.Context, use vigil.KeyUse, typ string, claims any) (string, error) {
	return t.keys.sign(ctx, use, typ, claims)
}
