package ltitest

import (
	"crypto/rand"
	"time"

	"vigil"
)

// Lives of what the platform signs about an attempt (docs/assertion.md).
const (
	assertionLife = time.Minute
	pageLife      = 24 * time.Hour
)

// maxRequests bounds the requests that an assertion names.
const maxRequests = 200

// Plugin is the version of the format that the platform's side speaks: 0 where it is not
// Vigil's plugin.
func (p *Platform) Plugin() int {
	if p.cfg.Like != Moodle || p.cfg.NoProctoring {
		return 0
	}
	return max(0, p.cfg.Plugin)
}

// Assertion signs that a user is in an attempt now: the one format that Vigil's Moodle
// plugin makes too. It lives a minute and is good for one exchange.
func (p *Platform) Assertion(a Attempt) string {
	return p.signAbout(a.ClientID, p.about(a, "socket", assertionLife), p.mischiefNow().Assertion)
}

// Standing signs a report of how an attempt stands, as the plugin sends one when it holds it.
func (p *Platform) Standing(a Attempt) string {
	return p.signAbout(a.ClientID, p.about(a, "standing", assertionLife), p.mischiefNow().Assertion)
}

// PageStamp signs what the platform says of a quiz page that it serves: when it was asked
// for it, when it had made it, and how the attempt stands. It is empty where the platform's
// side knows no stamps: a plugin of version 1, another platform.
func (p *Platform) PageStamp(a Attempt, requested, answered time.Time) string {
	if p.Plugin() < 2 {
		return ""
	}
	claims := p.about(a, "page", pageLife)
	claims["page_requested_at"], claims["page_answered_at"] = requested.UnixMilli(), answered.UnixMilli()
	if p.Plugin() >= 3 {
		claims["receipts"] = true
	}
	return p.signAbout(a.ClientID, claims, p.mischiefNow().Stamp)
}

// about are the claims of an assertion or a page stamp.
func (p *Platform) about(a Attempt, use string, life time.Duration) map[string]any {
	now := p.cfg.Now()
	claims := p.named(a, use, now, life)
	end := a.Ends
	if v := p.Plugin(); v >= 2 {
		claims["vigil"], claims["told_at"] = v, now.UnixMilli()
		claims["requests"] = append([]string{}, a.Requests[max(0, len(a.Requests)-maxRequests):]...)
		if a.Status == Paused {
			claims["attempt_paused_at"] = a.PausedAt.Unix()
			if a.Held {
				claims["attempt_pause_cause"] = "unwatched"
			}
		}
	} else {
		end = a.EndsAt(now)
	}
	if !end.IsZero() {
		claims["attempt_end"] = end.Unix()
	}
	return claims
}

// named are the claims that name an attempt.
func (p *Platform) named(a Attempt, use string, now time.Time, life time.Duration) map[string]any {
	tool, _ := p.Tool(a.ClientID)
	return map[string]any{
		"iss": p.cfg.Issuer, "aud": tool.ClientID, "sub": a.UserID, "iat": now.Unix(), "exp": now.Add(life).Unix(),
		"jti": rand.Text(), "token_use": use,
		ClaimLTI + "deployment_id": tool.DeploymentID,
		ClaimLTI + "resource_link": map[string]any{"id": a.LinkID},
		ClaimAP + "attempt_number": a.Number,
	}
}

// signAbout signs claims about an attempt for a tool, after mischief had its way with them.
func (p *Platform) signAbout(clientID string, claims map[string]any, mischief func(header, claims map[string]any)) string {
	key := p.Key(clientID)
	header := map[string]any{"typ": "JWT", "alg": "RS256", "kid": key.ID}
	if mischief != nil {
		claims = plain(claims)
		mischief(header, claims)
	}
	return Sign(header, claims, key.Private)
}

// pluginVersion is what Config.Plugin means.
func pluginVersion(configured int) int {
	if configured == 0 {
		return vigil.PluginVersion
	}
	return configured
}
