package main

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"vigil"
	"vigil/lti"
	"vigil/lti/ltitest"
	"vigil/lti/ltitest/lms"
	"vigil/realtime"
	"vigil/storage/sqlite/sqlitetest"
)

// Tests move the clock of a server; its tokens go by it, as everything does.
func TestSocketTokensGoByTheServersClock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	sqlitetest.Create(t, path)
	at := time.Date(2031, 3, 2, 9, 0, 0, 500_000_000, time.UTC)
	tool := toolOn(t, path, func() time.Time { return at })
	if err := tool.Keys().Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, until := range []time.Time{{}, at.Add(time.Minute)} {
		token, expires, err := tool.MintSocket(t.Context(), vigil.SocketClaims{Subject: "p|u", Session: "s", Role: vigil.RoleStudent, Until: until})
		if err != nil {
			t.Fatal(err)
		}
		want := at.Add(lti.SocketTokenLife)
		if !until.IsZero() {
			want = until
		}
		got, err := tool.VerifySocket(t.Context(), token)
		if err != nil || !expires.Equal(want.Truncate(time.Second)) || !got.Expires.Equal(expires) {
			t.Errorf("got the end %s, the token's %s, %v, want %s", expires, got.Expires, err, want)
		}
	}
}

// toolOn is package lti's tool on a store of its own.
func toolOn(t *testing.T, path string, now func() time.Time) *lti.Tool {
	t.Helper()
	sealer, err := lti.NewSealer(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	tool, err := lti.New(lti.Config{PublicURL: "https://vigil.example", Store: openSQLite(t, path), Sealer: sealer, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tool.Close)
	return tool
}

func TestPageStampsAreCarriedOver(t *testing.T) {
	s := newSite(t)
	tool := toolOn(t, s.db, time.Now)
	id, _ := s.lms.Platform().Tool(s.client)
	a := ltitest.Attempt{
		ClientID: s.client, UserID: student, LinkID: lms.LinkID, Number: 3, Status: ltitest.Paused, PausedAt: time.Now().Add(-time.Minute),
		Ends: time.Now().Add(time.Hour), Requests: []string{"r"},
	}
	answered := time.Now()
	got, err := pageStamps{tool}.VerifyPage(t.Context(), s.lms.Platform().PageStamp(a, answered.Add(-time.Second), answered))
	if err != nil {
		t.Fatal(err)
	}
	if got.Platform != s.platform || got.Deployment != id.DeploymentID || got.ResourceLink != lms.LinkID || got.User != student || got.Attempt != 3 ||
		got.Nonce == "" || !got.Receipts || got.Issuer == "" || got.Client != s.client || got.Answered.UnixMilli() != answered.UnixMilli() || got.Answered.Sub(got.Requested) != time.Second ||
		got.Report.Version != vigil.PluginVersion || got.Report.End.Unix() != a.Ends.Unix() || got.Report.PausedAt.Unix() != a.PausedAt.Unix() || len(got.Report.Requests) != 1 {
		t.Errorf("got %+v of %+v", got, a)
	}
	if _, err := (pageStamps{tool}).VerifyPage(t.Context(), s.lms.Platform().Assertion(a)); vigil.CodeOf(err) != vigil.CodeUnauthorized {
		t.Errorf("an assertion: got %v, want a refusal", err)
	}
}

func TestReceiptsAreCarriedOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	sqlitetest.Create(t, path)
	tool := toolOn(t, path, time.Now)
	if err := tool.Keys().Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	until := time.UnixMilli(time.Now().UnixMilli())
	r := realtime.Receipt{
		Issuer: "https://lms.example", Client: "c", Deployment: "1", ResourceLink: "quiz-7", User: "5", Attempt: 3, Nonce: "n",
		From: until.Add(-time.Minute), Until: until, Watched: 90 * time.Second,
	}
	text, err := receipts{tool}.SignReceipt(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	set, err := tool.Keys().Set(t.Context(), vigil.KeyReceipt)
	if err != nil {
		t.Fatal(err)
	}
	of := ltitest.ReceiptOf{Issuer: r.Issuer, ClientID: r.Client, Deployment: r.Deployment, ResourceLink: r.ResourceLink, User: r.User, Attempt: r.Attempt}
	got, reason := ltitest.ReadReceipt(set, of, time.Now(), text)
	if reason != "" || got.Page != "n" || !got.From.Equal(r.From) || !got.Until.Equal(until) || got.Watched != r.Watched {
		t.Errorf("got %+v, %q of %+v", got, reason, r)
	}
}
