package lti

import (
	"context"
	"slices"
	"time"

	"vigil"
)

const (
	tokenUsePage = "page"
	pageLife     = 24 * time.Hour // exp - iat, at most
	maxPageTime  = time.Hour      // from a page's request to its answer

	claimPageRequested = "page_requested_at"
	claimPageAnswered  = "page_answered_at"
	claimReceipts      = "receipts"
)

// Page is what a platform says of one quiz page that it served: a page stamp, which it
// prints into the page (docs/assertion.md, "Page stamp").
type Page struct {
	Platform     vigil.Platform
	Deployment   string
	Subject      string
	ResourceLink string
	Attempt      int
	Nonce        string    // jti: the page's own
	Requested    time.Time // when the platform was asked for the page, by its clock
	Answered     time.Time // when it had made it
	Receipts     bool      // the platform wants receipts for this page
	Report       vigil.Report
	Issued       time.Time
	Expires      time.Time
}

// ErrPageTimes is why a page stamp is refused, beside the reasons of assertions.
var ErrPageTimes = &Fault{"page_times", vigil.CodeUnauthorized, "The quiz page's stamp does not say when the page was asked for and answered."}

var pageUse = assertionUse{
	tokenUse: tokenUsePage, life: pageLife, version: 2, report: true,
	checks: slices.Concat(assertionChecks, reportChecks, []func(*judgedAssertion) error{checkPageTimes}),
}

// VerifyPage checks a page stamp. It may come as often as its page connects: nothing of it
// is used up.
func (t *Tool) VerifyPage(ctx context.Context, compact string) (Page, error) {
	j, err := t.judgeAssertion(ctx, compact, pageUse)
	if err != nil {
		return Page{}, err
	}
	return j.page(), nil
}

// page is the stamp that passed the checks.
func (j *judgedAssertion) page() Page {
	requested, _ := j.claims.integer(claimPageRequested)
	answered, _ := j.claims.integer(claimPageAnswered)
	asks, _ := j.claims[claimReceipts].(bool)
	return Page{
		Receipts: asks,
		Platform: j.out.Platform, Deployment: j.out.Deployment, Subject: j.out.Subject, ResourceLink: j.out.ResourceLink, Attempt: j.out.Attempt,
		Nonce: j.out.ID, Requested: time.UnixMilli(requested).UTC(), Answered: time.UnixMilli(answered).UTC(),
		Report: j.out.Report, Issued: j.out.Issued, Expires: j.out.Expires,
	}
}

// checkPageTimes reads when the page was asked for and answered. That the request is not
// later than the answer is the platform's to see to, whatever clock told it of the request.
func checkPageTimes(j *judgedAssertion) error {
	answered, ok := j.millis(claimPageAnswered)
	if !ok {
		return ErrPageTimes.because("page_answered_at")
	}
	n, ok := j.claims.integer(claimPageRequested)
	if !ok || n > answered.UnixMilli() || n < answered.Add(-maxPageTime).UnixMilli() {
		return ErrPageTimes.because("page_requested_at")
	}
	return nil
}
