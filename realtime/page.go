package realtime

import (
	"context"
	"time"

	"vigil"
)

// Page is what a page stamp says (docs/assertion.md): whose page of which attempt it is,
// when the platform was asked for it and when it had answered, by its clock, and when the
// attempt ends.
type Page struct {
	Platform     string // our id
	Issuer       string // the platform's own name
	Client       string // our id at it
	Deployment   string
	ResourceLink string
	User         string
	Attempt      int
	Nonce        string
	Requested    time.Time
	Answered     time.Time
	Receipts     bool // the platform wants them for this page, whatever the exam's policy was at the last launch
	Report       vigil.Report
}

// PageVerifier checks a page stamp's signature and form. An error of CodeUnavailable means
// that it could not be told now; every other one refuses the stamp.
type PageVerifier interface {
	VerifyPage(ctx context.Context, stamp string) (Page, error)
}

// Receipt says to a platform that one of its quiz pages is watched (docs/receipts.md).
type Receipt struct {
	Issuer       string // the platform's
	Client       string // our id at it
	Deployment   string
	ResourceLink string
	User         string
	Attempt      int
	Nonce        string        // of the page's stamp
	From         time.Time     // since when without a break
	Until        time.Time     // now
	Watched      time.Duration // of the attempt so far (vigil.Session.WatchedFor)
}

// ReceiptSigner signs receipts for the platform to verify.
type ReceiptSigner interface {
	SignReceipt(ctx context.Context, r Receipt) (string, error)
}
