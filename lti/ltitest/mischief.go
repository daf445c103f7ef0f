package ltitest

import (
	"crypto/rsa"
	"net/http"
	"net/url"

	"vigil"
)

// Mischief makes the platform misbehave. Every func is optional; a map it is given
// may be changed in place. Funcs may be called by several requests at once.
type Mischief struct {
	Login func(url.Values) // parameters of the third-party login

	Header  func(h map[string]any) // of the id_token, before it is signed
	Claims  func(c map[string]any)
	Key     func() *rsa.PrivateKey // signs id_tokens instead of the published key
	IDToken func(raw string) string
	Form    func(url.Values) // what auth.php posts to the tool

	KeySet        func(set map[string]any) // {"keys": []any of map[string]any}
	Configuration func(c map[string]any)
	Registration  func(answer map[string]any)
	Token         func(answer map[string]any)
	Members       func(answer map[string]any)
	ControlAnswer func(answer map[string]any)
	Assertion     func(header, claims map[string]any)
	Stamp         func(header, claims map[string]any)
	Report        func(header, claims map[string]any)
	Access        func(answer map[string]any)
	AccessReport  func(header, claims map[string]any)

	// HTTP may answer a request itself and return true.
	HTTP func(at Endpoint, w http.ResponseWriter, r *http.Request) bool

	// Control is asked about each well-formed, authorized control request.
	Control func(c Control) Fault
}

// Fault is what happens to a control request. The zero Fault is none.
type Fault struct {
	// Status answers with this status; the request is not applied unless Apply is set.
	Status int
	// Wait holds the answer until the channel is closed, the client has gone or the
	// platform is closed.
	Wait <-chan struct{}
	// Drop cuts the connection instead of answering.
	Drop bool
	// Apply does what was asked even though Status or Drop says otherwise: the
	// answer is lost, not the request. It is done before Wait.
	Apply bool
	// No has the plugin answer that it did not do it, for this reason; nothing is changed.
	No vigil.NoReason
}

// SetMischief replaces the platform's mischief; the zero Mischief makes it honest.
func (p *Platform) SetMischief(m Mischief) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mischief = m
}

func (p *Platform) mischiefNow() Mischief {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mischief
}
