package main

import (
	"context"
	"errors"
	"log/slog"

	"vigil"
	"vigil/lti"
	"vigil/realtime"
	"vigil/realtime/session"
	"vigil/realtime/socket"
)

// The parts do not know each other; these small types carry one's words over to the
// other.

// The LTI tool verifies and renews the tokens that package realtime is given.
var (
	_ socket.Verifier = (*lti.Tool)(nil)
	_ socket.Signer   = (*lti.Tool)(nil)
)

// pageStamps lets package realtime check the page stamps of platforms.
type pageStamps struct{ tool *lti.Tool }

var _ realtime.PageVerifier = pageStamps{}

// VerifyPage implements realtime.PageVerifier.
func (p pageStamps) VerifyPage(ctx context.Context, stamp string) (realtime.Page, error) {
	v, err := p.tool.VerifyPage(ctx, stamp)
	if err != nil {
		return realtime.Page{}, err
	}
	return realtime.Page{
		Platform: v.Platform.ID, Issuer: v.Platform.Issuer, Client: v.Platform.ClientID, Deployment: v.Deployment, ResourceLink: v.ResourceLink, User: v.Subject, Attempt: v.Attempt, Nonce: v.Nonce,
		Receipts: v.Receipts, Requested: v.Requested, Answered: v.Answered, Report: v.Report,
	}, nil
}

// receipts lets package realtime sign receipts.
type receipts struct{ tool *lti.Tool }

var _ realtime.ReceiptSigner = receipts{}

// SignReceipt implements realtime.ReceiptSigner.
func (s receipts) SignReceipt(ctx context.Context, r realtime.Receipt) (string, error) {
	return s.tool.SignReceipt(ctx, lti.ReceiptClaims{
		Issuer: r.Issuer, ClientID: r.Client, Deployment: r.Deployment, ResourceLink: r.ResourceLink, Subject: r.User, Attempt: r.Attempt,
		Nonce: r.Nonce, From: r.From, Until: r.Until, Watched: r.Watched,
	})
}

// platforms finds a session's platform.
type platforms interface {
	Platform(ctx context.Context, id string) (vigil.Platform, error)
}

// controller sends the queue's entries to the platforms by Assessment Control.
type controller struct {
	tool  *lti.Tool
	store platforms
	log   *slog.Logger
}

var _ session.Controller = controller{}

// Control implements realtime.Controller: one try, and what is to be made of its outcome.
func (c controller) Control(ctx context.Context, s vigil.Session, d vigil.Delivery) vigil.Result {
	p, err := c.store.Platform(ctx, s.PlatformID)
	if errors.Is(err, vigil.ErrNotFound) {
		return vigil.Result{State: vigil.LMSRefused, Problem: "The learning platform of this attempt is no longer registered."}
	}
	if err != nil {
		return vigil.Result{State: vigil.LMSFailed, Problem: "Vigil's store did not answer.", Retry: true}
	}
	request := lti.ControlRequest{
		Subject: s.UserID, ResourceLink: s.ResourceLinkID, Attempt: s.Attempt, Action: d.Action, Offered: s.ControlActions,
		ExtraMinutes: d.ExtraMinutes, IncidentTime: d.IncidentTime, Severity: d.Severity, ReasonCode: d.ReasonCode, ReasonMsg: d.Reason,
	}
	if s.Plugin {
		request.RequestID = d.ID
	}
	result, err := c.tool.Control(ctx, p, s.ControlURL, request)
	if err == nil { // it answered; whether it did anything, its answer says
		return vigil.Result{State: vigil.LMSAccepted, Status: result.Status, Applied: result.Applied, Reason: result.Reason}
	}
	c.log.WarnContext(ctx, "assessment control", "delivery", d.ID, "action", d.Action, "platform", p.ID, "try", d.Tries+1, "error", err)
	problem := "The learning platform could not be asked."
	if e, ok := errors.AsType[*vigil.Error](err); ok && e.Message != "" {
		problem = e.Message
	}
	switch {
	case errors.Is(err, lti.ErrControlUnknown):
		return vigil.Result{State: vigil.LMSUnknown, Problem: problem, Retry: true}
	case errors.Is(err, lti.ErrControlUnsent):
		return vigil.Result{State: vigil.LMSFailed, Problem: problem, Retry: true}
	}
	return vigil.Result{State: vigil.LMSRefused, Problem: problem}
}
