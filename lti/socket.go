package lti

import (
	"context"
	"crypto/rand"
	"time"

	"vigil"
)

// SocketAudience is the aud of socket tokens.
const SocketAudience = "vigil.realtime"

// Times of socket tokens.
const (
	SocketTokenLife = 5 * time.Minute
	socketSkew      = 15 * time.Second // between our own nodes' clocks, each of which may be 5 s off
	typSocket       = "vigil-socket+jwt"
)

// Why a socket token was refused.
var (
	ErrSocketToken     = &Fault{"socket_token", vigil.CodeUnauthorized, "The connection's token is not one of ours. Reload the page."}
	ErrSocketSignature = &Fault{"socket_signature", vigil.CodeUnauthorized, "The connection's token is not one of ours. Reload the page."}
	ErrSocketAudience  = &Fault{"socket_audience", vigil.CodeUnauthorized, "The connection's token is for something else. Reload the page."}
	ErrSocketExpired   = &Fault{"socket_expired", vigil.CodeUnauthorized, "The connection's token has expired. Reload the page."}
	ErrSocketClaims    = &Fault{"socket_claims", vigil.CodeUnauthorized, "The connection's token is not complete. Reload the page."}
)

// MintSocket signs a socket token, and tells when it expires. Where the claims leave the
// times out, the tool's own clock decides.
func (t *Tool) MintSocket(ctx context.Context, c vigil.SocketClaims) (token string, expires time.Time, err error) {
	if c.Subject == "" || c.Role == "" || (c.Session == "") == (c.Exam == "") {
		return "", time.Time{}, vigil.Errorf(vigil.CodeInternal, "A socket token needs a subject, a role, and either a session or an exam.")
	}
	if c.ID == "" {
		c.ID = rand.Text()
	}
	if c.Issued.IsZero() {
		c.Issued = t.cfg.Now()
	}
	if c.Expires.IsZero() {
		c.Expires = c.Issued.Add(SocketTokenLife)
	}
	if !c.Until.IsZero() && c.Until.Before(c.Expires) {
		c.Expires = c.Until
	}
	if c.Expires.Sub(c.Issued) > maxSigned {
		return "", time.Time{}, vigil.Errorf(vigil.CodeInternal, "A socket token lives for ten minutes at most.")
	}
	claims := map[string]any{
		"aud": SocketAudience, "sub": c.Subject, "role": c.Role, "jti": c.ID,
		"iat": c.Issued.Unix(), "exp": c.Expires.Unix(),
	}
	for name, value := range map[string]string{"session": c.Session, "exam": c.Exam, "name": c.Name, "guest": string(c.Guest)} {
		if value != "" {
			claims[name] = value
		}
	}
	if !c.Until.IsZero() {
		claims["until"] = c.Until.Unix()
	}
	if c.Access != 0 {
		claims["access"] = c.Access
	}
	if token, err = t.keys.sign(ctx, vigil.KeySocket, typSocket, claims); err != nil {
		return "", time.Time{}, err
	}
	return token, time.Unix(c.Expires.Unix(), 0), nil // as the token says it, in whole seconds
}

// VerifySocket checks a socket token: signed by one of our socket keys, for
// SocketAudience, in its time, complete. Times come back in whole seconds.
func (t *Tool) VerifySocket(ctx context.Context, compact string) (vigil.SocketClaims, error) {
	head, payload, err := splitToken(compact)
	if err != nil {
		return vigil.SocketClaims{}, ErrSocketToken.because("%w", err)
	}
	if head.Alg != algEdDSA || head.Typ != typSocket || head.Kid == "" {
		return vigil.SocketClaims{}, ErrSocketToken.because("alg, typ or kid")
	}
	key, err := t.keys.verifier(ctx, vigil.KeySocket, head.Kid)
	if err != nil {
		if vigil.CodeOf(err) != vigil.CodeNotFound {
			return vigil.SocketClaims{}, vigil.Wrap(err, vigil.CodeUnavailable, "The keys cannot be read at the moment; try again.")
		}
		return vigil.SocketClaims{}, ErrSocketSignature.because("unknown key")
	}
	if err := verifyToken(compact, algEdDSA, key.key); err != nil {
		return vigil.SocketClaims{}, ErrSocketSignature.because("%w", err)
	}
	claims, err := parseObject(payload)
	if err != nil {
		return vigil.SocketClaims{}, ErrSocketToken.because("%w", err)
	}
	if aud, _ := claims.str("aud"); aud != SocketAudience {
		return vigil.SocketClaims{}, ErrSocketAudience.because("aud")
	}
	now := t.cfg.Now()
	iat, okIat := claims.integer("iat")
	exp, okExp := claims.integer("exp")
	if !okIat || !okExp || exp-iat > int64(maxSigned/time.Second) {
		return vigil.SocketClaims{}, ErrSocketClaims.because("iat or exp")
	}
	if !now.Before(time.Unix(exp, 0)) || time.Unix(iat, 0).After(now.Add(socketSkew)) {
		return vigil.SocketClaims{}, ErrSocketExpired.because("not in its time")
	}
	out := vigil.SocketClaims{Issued: time.Unix(iat, 0), Expires: time.Unix(exp, 0)}
	out.Subject, _ = claims.str("sub")
	role, _ := claims.str("role")
	out.ID, _ = claims.str("jti")
	out.Session, _ = claims.str("session")
	out.Exam, _ = claims.str("exam")
	out.Name, _ = claims.str("name")
	guest, _ := claims.str("guest")
	out.Role, out.Guest = vigil.Role(role), vigil.Guest(guest)
	if claims.has("until") {
		until, ok := claims.integer("until")
		if !ok {
			return vigil.SocketClaims{}, ErrSocketClaims.because("until")
		}
		out.Until = time.Unix(until, 0)
	}
	if claims.has("access") {
		var ok bool
		if out.Access, ok = claims.integer("access"); !ok || out.Access < 1 {
			return vigil.SocketClaims{}, ErrSocketClaims.because("access")
		}
	}
	if out.Subject == "" || out.Role == "" || out.ID == "" || (out.Session == "") == (out.Exam == "") {
		return vigil.SocketClaims{}, ErrSocketClaims.because("sub, role, jti, session or exam")
	}
	return out, nil
}
