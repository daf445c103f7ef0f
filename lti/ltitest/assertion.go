package ltitest

import "crypto/rand"

// Assertion signs that a user is in an attempt now: the one format that Vigil's Moodle
// plugin makes too. It lives a minute and is good for one exchange.
func (p *Platform) Assertion(a Attempt) string {
	tool, _ := p.Tool(a.ClientID)
	now := p.cfg.Now()
	key := p.Key(a.ClientID)
	header := map[string]any{"typ": "JWT", "alg": "RS256", "kid": key.ID}
	claims := map[string]any{
		"iss": p.cfg.Issuer, "aud": tool.ClientID, "sub": a.UserID, "iat": now.Unix(), "exp": now.Unix() + 60,
		"jti": rand.Text(), "token_use": "socket",
		ClaimLTI + "deployment_id": tool.DeploymentID,
		ClaimLTI + "resource_link": map[string]any{"id": a.LinkID},
		ClaimAP + "attempt_number": a.Number,
	}
	if end := a.EndsAt(now); !end.IsZero() {
		claims["attempt_end"] = end.Unix()
	}
	if f := p.mischiefNow().Assertion; f != nil {
		claims = plain(claims)
		f(header, claims)
	}
	return Sign(header, claims, key.Private)
}
