package lti

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"vigil"
)

// maxURL bounds the URLs that others give us.
const maxURL = 4 << 10

// loopbackHost tells whether a host name means this machine, as browsers see it:
// localhost, names below it, and loopback addresses.
func loopbackHost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// parseWebURL reads an absolute http or https URL that somebody else gave: no user info,
// no fragment, no control characters, no spaces or backslashes (browsers and Go read
// those differently), a host, and a bounded length.
func parseWebURL(raw string) (*url.URL, error) {
	if raw == "" || len(raw) > maxURL {
		return nil, errors.New("empty or too long")
	}
	for _, c := range raw {
		if c <= ' ' || c == 0x7f || c == '\\' || c >= 0x80 && c <= 0x9f {
			return nil, errors.New("control character, space or backslash")
		}
	}
	if strings.Contains(raw, "#") {
		return nil, errors.New("fragment")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("not a URL") // the cause quotes it
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("scheme is not http or https")
	}
	if u.User != nil || strings.Contains(u.Host, "@") {
		return nil, errors.New("user info")
	}
	if u.Opaque != "" || u.Hostname() == "" || strings.ContainsAny(u.Host, "%,;") {
		return nil, errors.New("no host")
	}
	if strings.HasSuffix(u.Host, ":") {
		return nil, errors.New("empty port")
	}
	if vigil.Origin(raw) == "" {
		return nil, errors.New("no web origin")
	}
	return u, nil
}

// platformURL checks a URL that a platform gave in a message: it must lie on an origin
// of the platform (its issuer's or that of an endpoint registered for it), and be https
// where the issuer is. What it returns is the URL unchanged.
func platformURL(p vigil.Platform, raw string) (string, error) {
	u, err := parseWebURL(raw)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(p.Issuer, "https:") && u.Scheme != "https" {
		return "", errors.New("not https although the issuer is")
	}
	if !slices.Contains(p.Origins(), vigil.Origin(raw)) {
		return "", errors.New("not on an origin of the platform")
	}
	return raw, nil
}

// ownTarget checks that a target link is one of ours and returns its path and query.
func (t *Tool) ownTarget(raw string) (string, error) {
	u, err := parseWebURL(raw)
	if err != nil {
		return "", err
	}
	if vigil.Origin(raw) != t.origin {
		return "", errors.New("not our origin")
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	if !slices.Contains(t.cfg.Targets, path) {
		return "", errors.New("not one of our paths")
	}
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	return path, nil
}

// CheckPlatform says whether a platform's own values can be trusted to be used:
// well-formed https URLs (http only for a private platform), https where the issuer is,
// a client id. Both kinds of registration go through it. Field names the one at fault.
func CheckPlatform(p vigil.Platform) error {
	if err := checkWord(p.ClientID); err != nil {
		return vigil.Invalid("client_id", "The client id must have 1 to 255 printable characters.")
	}
	if u, err := parseWebURL(p.Issuer); err != nil || u.RawQuery != "" {
		return vigil.Invalid("issuer", "The issuer must be an https URL without query or fragment, exactly as the platform writes it.")
	}
	for _, f := range []struct{ name, url string }{
		{"issuer", p.Issuer},
		{"authorization_endpoint", p.AuthorizationEndpoint},
		{"token_endpoint", p.TokenEndpoint},
		{"key_set_url", p.KeySetURL},
	} {
		u, err := parseWebURL(f.url)
		if err != nil {
			return &vigil.Error{Code: vigil.CodeInvalid, Field: f.name, Message: "This must be an absolute https URL without user name or fragment.", Err: err}
		}
		if u.Scheme != "https" && (!p.Private || strings.HasPrefix(p.Issuer, "https:")) {
			return vigil.Invalid(f.name, "This must be https: plain http is only for platforms registered as private, whose issuer is http too.")
		}
	}
	if len(p.TokenAudience) > maxURL || hasControl(p.TokenAudience) {
		return vigil.Invalid("token_audience", "The token audience is too long or has control characters.")
	}
	return nil
}
