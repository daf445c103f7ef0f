package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"vigil"
)

// Which browser an attempt was begun or last continued in is kept for as long as an attempt may
// reasonably run: a check-in that is open in another one at the same time is a second device.
const (
	beganKind = "web.began" // Record kind; the key is the session
	beganLife = 24 * time.Hour
	browserID = "browser" // key of the visit: a random name of this browser, which lives as long as the visit
)

// browserOf names the visit's browser: a hash, so that nothing of the visit is in the store. "": it
// has none, because it began before an update.
func (s *Server) browserOf(ctx context.Context) string {
	id := s.visits.GetString(ctx, browserID)
	if id == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("browser|" + id))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// nameBrowser gives the visit its browser's name, once: launches keep it.
func (s *Server) nameBrowser(ctx context.Context) {
	if s.visits.GetString(ctx, browserID) == "" {
		s.visits.Put(ctx, browserID, rand.Text())
	}
}

// beganHere keeps that the attempt goes on in this browser. Where that fails nobody is taken for
// somebody else: it is not known then.
func (s *Server) beganHere(ctx context.Context, session string) {
	id := s.browserOf(ctx)
	if id == "" {
		return
	}
	err := s.store.PutRecord(ctx, vigil.Record{Kind: beganKind, Key: session, Value: []byte(id), Expires: s.now().Add(beganLife)})
	if err != nil {
		s.log.WarnContext(ctx, "browser of an attempt not stored", "session", session, "error", err)
	}
}

// guest says what a token for a student's page of ours may do: own the session where that page is
// the attempt's connection, and only test the way where the platform's quiz page is.
func (s *Server) guest(ctx context.Context, session vigil.Session) vigil.Guest {
	if !session.Plugin {
		return ""
	}
	r, err := s.store.GetRecord(ctx, beganKind, session.ID, s.now())
	if err != nil && !errors.Is(err, vigil.ErrNotFound) {
		s.log.WarnContext(ctx, "browser of an attempt not read", "session", session.ID, "error", err)
	}
	here := s.browserOf(ctx)
	switch {
	case err != nil || here == "":
		return vigil.GuestUnknown
	case string(r.Value) == here:
		return vigil.GuestSame
	}
	return vigil.GuestOther
}
