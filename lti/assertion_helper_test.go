package lti_test

// assertionClaims are those of an honest assertion.
func (g *rig) assertionClaims(id string) m {
	now := g.clock.now().Unix()
	return m{
		"iss": g.p.Issuer, "aud": g.p.ClientID, "sub": "u1", "iat": now, "exp": now + 60, "jti": id, "token_use": "socket",
		claimLTI + "deployment_id": "1",
		claimLTI + "resource_link": m{"id": "quiz-2"},
		claimAP + "attempt_number": 1,
		"attempt_end":              now + 3600,
	}
}
