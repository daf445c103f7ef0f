package lti

import (
	"context"
	"math"
	"time"

	"vigil"
)

const (
	typReceipt      = "vigil-receipt+jwt"
	tokenUseReceipt = "receipt"
	receiptVersion  = 1

	claimPageNonce = "page"
	claimFrom      = "from"
	claimUntil     = "until"
	claimWatched   = "watched"
)

// ReceiptClaims say that a quiz page was watched: whose page of which attempt, and for how
// long (docs/receipts.md). All but Watched is needed.
type ReceiptClaims struct {
	Issuer       string // of the platform
	ClientID     string // ours at it
	Deployment   string
	ResourceLink string
	Subject      string
	Attempt      int
	Nonce        string        // of the page's stamp
	From         time.Time     // since when the page is watched without a break
	Until        time.Time     // now
	Watched      time.Duration // of the attempt so far
}

// SignReceipt signs a receipt with the active receipt key.
func (t *Tool) SignReceipt(ctx context.Context, c ReceiptClaims) (string, error) {
	switch {
	case c.Issuer == "", c.ClientID == "", c.Deployment == "", c.ResourceLink == "", c.Subject == "", c.Attempt < 1, c.Nonce == "":
		return "", vigil.Errorf(vigil.CodeInternal, "A receipt needs a platform, an attempt and a page.")
	case c.From.IsZero(), c.Until.Before(c.From):
		return "", vigil.Errorf(vigil.CodeInternal, "A receipt needs a time that was watched.")
	}
	return t.keys.sign(ctx, vigil.KeyReceipt, typReceipt, map[string]any{
		"iss": c.ClientID, "aud": c.Issuer, "sub": c.Subject, "iat": t.cfg.Now().Unix(),
		"token_use": tokenUseReceipt, "vigil": receiptVersion,
		claimDeployment: c.Deployment, claimResourceLink: map[string]string{"id": c.ResourceLink}, claimAttempt: c.Attempt,
		claimPageNonce: c.Nonce, claimFrom: c.From.UnixMilli(), claimUntil: c.Until.UnixMilli(),
		claimWatched: int64(math.Floor(max(0, c.Watched).Seconds())),
	})
}
