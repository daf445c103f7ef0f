package sim

import (
	"context"
	"fmt"
	"sync"
	"time"

	"vigil"
	"vigil/realtime"
)

// tokens signs and checks socket tokens that are just names, as all servers would with one key.
type tokens struct {
	mu    sync.Mutex
	known map[string]vigil.SocketClaims
}

const tokenLife = 5 * time.Minute

// VerifySocket implements socket.Verifier.
func (k *tokens) VerifySocket(_ context.Context, token string) (vigil.SocketClaims, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ok := k.known[token]
	if !ok {
		return c, vigil.Errorf(vigil.CodeUnauthorized, "This token is not ours.")
	}
	return c, nil
}

// MintSocket implements socket.Signer.
func (k *tokens) MintSocket(_ context.Context, c vigil.SocketClaims) (string, time.Time, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	token := fmt.Sprintf("token-%d", len(k.known)+1)
	c.ID, c.Issued = token, time.Now()
	c.Expires = c.Issued.Add(tokenLife)
	if !c.Until.IsZero() && c.Until.Before(c.Expires) {
		c.Expires = c.Until
	}
	k.known[token] = c
	return token, c.Expires, nil
}

// stamps are the page stamps that the platform signed.
type stamps struct {
	mu    sync.Mutex
	pages map[string]realtime.Page
}

// VerifyPage implements realtime.PageVerifier.
func (s *stamps) VerifyPage(_ context.Context, stamp string) (realtime.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.pages[stamp]
	if !ok {
		return p, vigil.Errorf(vigil.CodeUnauthorized, "This stamp is not the platform's.")
	}
	return p, nil
}

func (s *stamps) sign(p realtime.Page) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Nonce = fmt.Sprintf("page-%d", len(s.pages)+1)
	s.pages[p.Nonce] = p
	return p.Nonce
}
