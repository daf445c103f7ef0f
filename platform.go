package vigil

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// PlatformState says what a registered platform may do.
type PlatformState string

// The states of a platform.
const (
	PlatformPending  PlatformState = "pending"  // registered, not yet allowed to launch
	PlatformActive   PlatformState = "active"   // may launch
	PlatformDisabled PlatformState = "disabled" // switched off by the operator
)

// Platform is a registered LMS. It is known by issuer and client id together: one
// issuer may have several client ids, each with its own key set and token URL
// (LTI 1.3 core, section 3.1.3).
type Platform struct {
	ID       string // ours, a UUIDv7
	Issuer   string
	ClientID string
	Name     string // for people
	Family   string // product family code of the LMS, as it said ("moodle"); may be empty

	AuthorizationEndpoint string
	TokenEndpoint         string
	TokenAudience         string // aud of our client assertion; TokenEndpoint when empty
	KeySetURL             string

	// Scopes that the platform was seen to grant or to offer at registration.
	Scopes []string

	// Plugin is the version of our plugin's format (docs/assertion.md) that this platform was
	// last seen to speak; 0: not seen.
	Plugin int

	// Private allows this platform's servers to lie on private and loopback
	// addresses. Only an invitation or a manual registration made for it sets it;
	// link-local and cloud metadata addresses stay forbidden all the same.
	Private bool

	State   PlatformState
	Created time.Time
	Updated time.Time
	Version int64 // of the record; conditional writes compare it
}

// TellsAccess tells whether the platform was seen to have a plugin of ours that says who may see
// and do what at its quizzes. It is the whole platform's, whatever activity somebody comes by.
func (p Platform) TellsAccess() bool { return p.Plugin >= 3 }

// Origins are the web origins that belong to the platform: those of its issuer and
// of its registered endpoints. A browser page of the platform may come from any of
// them, and URLs that the platform gives us must lie on one of them.
func (p Platform) Origins() []string {
	var out []string
	seen := map[string]bool{}
	for _, raw := range []string{p.Issuer, p.AuthorizationEndpoint, p.TokenEndpoint, p.KeySetURL} {
		if o := Origin(raw); o != "" && !seen[o] {
			seen[o] = true
			out = append(out, o)
		}
	}
	return out
}

// Origin returns the web origin (scheme://host[:port], lower case, default port left
// out) of an absolute http or https URL, or "" if it is not one. Origins are written
// into headers, so a host is letters, digits, dots, - and _, or an IPv6 address in
// brackets; an international name must come in its ASCII form, as browsers send it.
func Origin(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.User != nil {
		return ""
	}
	name, port := u.Hostname(), u.Port()
	if strings.HasPrefix(u.Host, "[") {
		ip, err := netip.ParseAddr(name)
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return ""
		}
		name = "[" + ip.String() + "]"
	} else if !hostName(name) {
		return ""
	}
	origin := strings.ToLower(u.Scheme) + "://" + strings.ToLower(name)
	usual := ""
	switch u.Scheme {
	case "http":
		usual = "80"
	case "https":
		usual = "443"
	default:
		return ""
	}
	if port == "" {
		return origin
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return ""
	}
	if port = strconv.FormatUint(n, 10); port != usual {
		origin += ":" + port
	}
	return origin
}

func hostName(name string) bool {
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_') {
			return false
		}
	}
	return name != ""
}

// DeploymentState says whether launches of a deployment are accepted.
type DeploymentState string

// The states of a deployment. One that appears under a known client is recorded as
// pending and said so, never silently accepted.
const (
	DeploymentPending DeploymentState = "pending"
	DeploymentActive  DeploymentState = "active"
)

// Deployment is one placement of the tool within a platform (LTI 1.3 core, 3.1.3).
type Deployment struct {
	PlatformID string
	ID         string // the platform's deployment_id
	State      DeploymentState
	Created    time.Time
}

// MaxInvitationTries is how many registrations an invitation may see fail before it
// is spent: a failed try does not spend it, ten do.
const MaxInvitationTries = 10

// Invitation lets one platform register itself dynamically, once. The link holds a
// secret; only its hash is kept.
type Invitation struct {
	Hash       string // hex SHA-256 of the secret in the link
	Private    bool   // the platform may lie on a private network
	Review     bool   // the platform that comes of it stays pending until the operator activates it
	Tries      int
	PlatformID string // the platform that came of it, once spent
	Created    time.Time
	Expires    time.Time
}
