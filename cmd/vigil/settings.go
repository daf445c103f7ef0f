package main

import (
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"vigil"
	"vigil/web"
)

// storeSettings say where things are kept. Every command that touches the store has them.
type storeSettings struct {
	Store   string `help:"Where everything is kept: sqlite:PATH or dynamodb:PREFIX (default: ${default})." default:"sqlite:vigil.db" placeholder:"KIND:PLACE"`
	KeyFile string `help:"File with the key that encrypts our private keys; made at the first start. Default: the SQLite file's name with .key added." placeholder:"PATH"`

	KeySecret        string `help:"The key itself instead of a file: 32 bytes in base64, set as VIGIL_KEY_SECRET and not on the command line; or kms:KEY?region=REGION, a key of AWS KMS. DynamoDB needs one of them." placeholder:"BASE64"`
	DynamoDBRegion   string `name:"dynamodb-region" help:"AWS region of a dynamodb: store (default: as the AWS settings say). Also dynamodb:PREFIX?region=REGION." placeholder:"REGION"`
	DynamoDBEndpoint string `name:"dynamodb-endpoint" help:"Another endpoint than AWS's own, such as DynamoDB Local. Also dynamodb:PREFIX?endpoint=URL." placeholder:"URL"`

	ErasureList string `help:"File to which each erasure is also added as a line of JSON, without a name: on another disk than the store's, so that a restored backup can be made to forget, too." placeholder:"PATH"`

	operator bool          // an operator's command opens the store, not a server
	again    *erasedBefore // erasures that are done again; nil: none
}

// sqlitePath returns the path of a sqlite: store.
func (s storeSettings) sqlitePath() (string, error) {
	path, ok := strings.CutPrefix(s.Store, "sqlite:")
	if !ok || path == "" || path == ":memory:" {
		return "", vigil.Invalid("store", "The store must be sqlite:PATH or dynamodb:PREFIX; %q is not.", s.Store)
	}
	return path, nil
}

// keyPath returns the path of the key file.
func (s storeSettings) keyPath() (string, error) {
	if s.KeyFile != "" {
		return s.KeyFile, nil
	}
	path, err := s.sqlitePath()
	return path + ".key", err
}

// serverSettings are those of a running server.
type serverSettings struct {
	PublicURL      string        `help:"Where browsers and LMSs reach this tool: scheme, host and port. https, but on loopback." placeholder:"URL"`
	Listen         string        `help:"Address to serve on (default: ${default})." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	AdminListen    string        `help:"Address for /healthz, /readyz, /metrics and /debug/pprof; keep it private. 'off' serves none (default: ${default})." default:"127.0.0.1:9090" placeholder:"HOST:PORT"`
	AdminHosts     []string      `help:"Names, with a dot, by which the admin listener may be asked. Addresses and names without one need not be given." placeholder:"NAME"`
	TrustedProxies []string      `help:"Networks of the proxies whose X-Forwarded-For counts, such as 10.0.0.0/8." placeholder:"CIDR"`
	PolicyURL      string        `help:"The school's own privacy notice, which the check-in and other pages link to. https, but on loopback." placeholder:"URL"`
	PrivacyContact string        `help:"Who answers for the students' data, as the check-in and other pages name them: an e-mail address, a mailto: URL or a text." placeholder:"TEXT"`
	TLSCert        string        `help:"Certificate file, to serve https without a proxy." placeholder:"PATH"`
	TLSKey         string        `help:"The certificate's private key." placeholder:"PATH"`
	PingEvery      time.Duration `help:"Time between two pings to a student." default:"10s"`
	PongWait       time.Duration `help:"Time until a pong counts as missed." default:"4s"`
	NavigateGrace  time.Duration `help:"How long a page turn may take." default:"8s"`
	DropGrace      time.Duration `help:"Time from a dropped connection to lost." default:"5s"`
	LoadLimit      time.Duration `help:"Time from the loss of who turned a page until the page counts as closed by the student." default:"1m"`
	ReturnGrace    time.Duration `help:"Time that clients have to come back after an outage of ours, before their absence is their own." default:"30s"`
	AliveEvery     time.Duration `help:"Time between two questions to a student's monitor for its totals." default:"1m"`
	DrainTime      time.Duration `help:"Time over which clients are sent away at a stop." default:"5s"`

	Redis           string `help:"Redis that many servers reach each other by, which share a store (a dynamodb: one, or, all on one host, an SQLite file): redis://, rediss:// or unix://; with ?cluster=true a cluster, with ?master_name=NAME a sentinel. Set VIGIL_REDIS where it holds a password." placeholder:"URL"`
	RedisPrefix     string `help:"What the keys in Redis begin with (default: ${default}). Installations that share a Redis need different ones." default:"vigil" placeholder:"NAME"`
	RedisPartitions int    `help:"Streams in Redis, the same number on all servers; while the numbers differ, servers work as if Redis were away. Default: 1, or 8 on a cluster." placeholder:"N"`
}

func (s serverSettings) liveness() vigil.Liveness {
	return vigil.Liveness{
		PingEvery: s.PingEvery, PongWait: s.PongWait, NavigateGrace: s.NavigateGrace, DropGrace: s.DropGrace,
		LoadLimit: s.LoadLimit, ReturnGrace: s.ReturnGrace,
	}
}

// Validate names the first setting that makes no sense.
func (s serverSettings) Validate() error {
	if s.PublicURL == "" {
		return vigil.Invalid("public-url", "Say where browsers reach this server, for example --public-url=https://vigil.example.edu.")
	}
	u, err := url.Parse(s.PublicURL)
	if err != nil || vigil.Origin(s.PublicURL) == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return vigil.Invalid("public-url", "The public URL must be scheme, host and port, for example https://vigil.example.edu; %q is not.", s.PublicURL)
	}
	if u.Scheme != "https" && !loopback(u.Hostname()) {
		return vigil.Invalid("public-url", "The public URL must be https, except on loopback: browsers drop the cookies otherwise.")
	}
	if s.AliveEvery < time.Second || s.AliveEvery > 10*time.Minute {
		return vigil.Invalid("alive-every", "The time must lie between 1s and 10m.")
	}
	if _, _, err := net.SplitHostPort(s.Listen); err != nil {
		return vigil.Invalid("listen", "The address must be HOST:PORT; %q is not.", s.Listen)
	}
	if _, _, err := net.SplitHostPort(s.AdminListen); err != nil && s.AdminListen != "off" {
		return vigil.Invalid("admin-listen", "The address must be HOST:PORT or off; %q is neither.", s.AdminListen)
	}
	if _, err := s.proxies(); err != nil {
		return err
	}
	if err := s.validatePrivacy(); err != nil {
		return err
	}
	if (s.TLSCert == "") != (s.TLSKey == "") {
		return vigil.Invalid("tls-cert", "A certificate and its key go together: give both --tls-cert and --tls-key.")
	}
	if s.DrainTime < 0 || s.DrainTime > 5*time.Minute {
		return vigil.Invalid("drain-time", "The time must lie between 0s and 5m.")
	}
	if s.Redis != "" && s.RedisPartitions < 0 {
		return vigil.Invalid("redis-partitions", "There must be 1 partition or more.")
	}
	if err := s.liveness().Validate(); err != nil {
		return fieldWithDashes(err)
	}
	return nil
}

// privacy is what the pages say of the school.
func (s serverSettings) privacy() web.Privacy {
	return web.Privacy{PolicyURL: s.PolicyURL, Contact: s.PrivacyContact}
}

// Bounds of what is said of the school, in bytes.
const (
	maxPolicyURL = 1000
	maxContact   = 300
)

func (s serverSettings) validatePrivacy() error {
	oneLine := func(text string) bool {
		return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
	}
	if s.PolicyURL != "" {
		u, err := url.Parse(s.PolicyURL)
		switch {
		case len(s.PolicyURL) > maxPolicyURL:
			return vigil.Invalid("policy-url", "The address of the privacy notice is longer than %d bytes.", maxPolicyURL)
		case err != nil || vigil.Origin(s.PolicyURL) == "" || !oneLine(s.PolicyURL):
			return vigil.Invalid("policy-url", "The address of the privacy notice must be a URL such as https://school.example/privacy; %q is not.", s.PolicyURL)
		case u.Scheme != "https" && !loopback(u.Hostname()):
			return vigil.Invalid("policy-url", "The address of the privacy notice must be https, except on loopback.")
		}
	}
	if s.PrivacyContact == "" {
		return nil
	}
	text := s.privacy().ContactText()
	switch {
	case len(s.PrivacyContact) > maxContact:
		return vigil.Invalid("privacy-contact", "The contact is longer than %d bytes.", maxContact)
	case !oneLine(s.PrivacyContact) || strings.TrimSpace(s.PrivacyContact) == "":
		return vigil.Invalid("privacy-contact", "The contact must be one line of text without control characters.")
	case text != s.PrivacyContact: // a mailto: URL
		if a, err := mail.ParseAddress(text); err != nil || a.Address != text {
			return vigil.Invalid("privacy-contact", "A mailto: URL must name one address, such as mailto:privacy@school.example; %q does not.", s.PrivacyContact)
		}
	}
	return nil
}

// proxies returns the networks whose forwarded addresses count.
func (s serverSettings) proxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, raw := range s.TrustedProxies {
		p, err := netip.ParsePrefix(raw)
		if err != nil {
			if a, addrErr := netip.ParseAddr(raw); addrErr == nil {
				p, err = a.Prefix(a.BitLen())
			}
		}
		if err != nil {
			return nil, vigil.Invalid("trusted-proxies", "%q is no network such as 10.0.0.0/8.", raw)
		}
		out = append(out, p)
	}
	return out, nil
}

// fieldWithDashes names a field as the flag that sets it.
func fieldWithDashes(err error) error {
	e, ok := err.(*vigil.Error) //nolint:errorlint // our own rules return it unwrapped
	if !ok {
		return err
	}
	c := *e
	c.Field = strings.ReplaceAll(c.Field, "_", "-")
	return &c
}

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback()
}
