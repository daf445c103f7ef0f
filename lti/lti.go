// Package lti is the tool's half of LTI 1.3: login, launch, Dynamic Registration,
// deep linking and Proctoring Services 1.0, our own keys, and clients of the services
// that a platform offers.
//
// The parts, as package web and cmd/vigil use them:
//
//	tool, err := lti.New(lti.Config{PublicURL: …, Store: …, Sealer: …, OnError: …})
//	err = tool.Keys().Ensure(ctx)               // once, before serving
//	err = tool.Keys().Tend(ctx)                 // every few minutes: rotates by age, drops what is over
//
//	tool.ServeLogin(w, r)                       // GET and POST /lti/login
//	tool.ServeLaunch(w, r, func(w, r, Launch))  // POST /lti/launch; calls back only for a launch that passed every check
//	tool.ServeKeys(w, r)                        // GET /lti/keys
//	tool.ServeReceiptKeys(w, r)                 // GET /api/v1/receipts/keys
//
//	secret, err := tool.Invite(ctx, Invitation{Private, Review, TTL})
//	platform, err := tool.Register(ctx, secret, configURL, token)  // then show a page that runs CloseScript
//	err := CheckPlatform(platform)              // for registration by hand
//	values := tool.Values()                     // what an LMS admin copies for registration by hand
//
//	post, err := tool.StartAssessment(ctx, StartRequest{…})        // then tool.WritePost(w, r, post)
//	post, err := tool.DeepLink(ctx, DeepLinkAnswer{…})             // then tool.WritePost(w, r, post)
//	link, err := tool.EndURL(platform, returnURL, msg, errmsg)     // then redirect
//
//	result, err := tool.Control(ctx, platform, controlURL, ControlRequest{…})
//	members, err := tool.Members(ctx, platform, membersURL, MembersRequest{…})
//	report, err := tool.Access(ctx, platform, accessURL, users)
//
//	assertion, err := tool.VerifyAssertion(ctx, compact)           // POST /api/v1/socket/token
//	page, err := tool.VerifyPage(ctx, compact)                     // the page stamp of a hello
//	ended, err := tool.VerifyEnded(ctx, compact)                   // POST /api/v1/attempts/ended
//	opened, err := tool.VerifyOpened(ctx, compact)                 // POST /api/v1/attempts/opened
//	report, err := tool.VerifyAccess(ctx, compact)                 // POST /api/v1/access
//	token, expires, err := tool.MintSocket(ctx, vigil.SocketClaims{…})
//	claims, err := tool.VerifySocket(ctx, token)
//	receipt, err := tool.SignReceipt(ctx, ReceiptClaims{…})
//
// What it checks is a list of small named checks, each with a sentinel error of type
// *Fault; errors.Is(err, ErrLaunchNonce) tells which one refused. Every error of this
// package is a *vigil.Error for the person who reads it, with the fault as its cause.
//
// Everything is safe for concurrent use. Nothing here starts a goroutine but the HTTP
// client, whose connections Close ends.
package lti

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"vigil"
)

// The paths of the tool's LTI endpoints, below Config.PublicURL. None has a query:
// Open edX appends a second "?" to a login URL that has one.
const (
	LoginPath    = "/lti/login"
	LaunchPath   = "/lti/launch"
	KeysPath     = "/lti/keys"
	ReceiptsPath = "/api/v1/receipts/keys"
	RegisterPath = "/lti/register"
)

// Config is what a Tool needs. PublicURL, Store and Sealer are required.
type Config struct {
	// PublicURL is where browsers reach the tool: scheme, host and port, no path.
	// https, or http on a loopback host.
	PublicURL string
	// Store keeps platforms, keys, invitations and expiring records.
	Store Store
	// Sealer encrypts our private keys before they are stored.
	Sealer Sealer
	// OnError writes the page for a login or launch that was refused. The error is
	// already logged with its reference. Default: a few lines of plain text.
	OnError func(w http.ResponseWriter, r *http.Request, e *LaunchError)

	// Targets are the paths that a launch may ask for in target_link_uri.
	// Default: LaunchPath and "/".
	Targets []string
	// Name and Description of the tool, shown by platforms. Default "Vigil" and a line.
	Name        string
	Description string
	// LogoURL is offered at registration when set.
	LogoURL string

	// FirstDeployment is how long after its registration a platform that named no
	// deployment may bring its first one by a launch. Default 7 days; negative: never.
	FirstDeployment time.Duration
	// LTIKeyAge and SocketKeyAge are how long a key signs before Tend replaces it.
	// Default 90 and 30 days.
	LTIKeyAge    time.Duration
	SocketKeyAge time.Duration

	// Transport goes around what requests to platforms are made with, to follow them. Default: nothing does.
	Transport func(next http.RoundTripper) http.RoundTripper
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Log receives refusals and faults, without personal data. Default slog.Default().
	Log *slog.Logger
}

// Tool is our side of LTI. Make it with New.
type Tool struct {
	cfg    Config
	public *url.URL
	origin string
	keys   *Keys
	fetch  *fetcher
	sets   *keySets
	tokens *tokens

	parties *knownParties
}

// New makes a Tool, or says which field of the configuration is at fault. It does no
// I/O; call Keys().Ensure before serving.
func New(cfg Config) (*Tool, error) {
	public, err := url.Parse(cfg.PublicURL)
	if err != nil || vigil.Origin(cfg.PublicURL) == "" || strings.Trim(public.Path, "/") != "" ||
		public.RawQuery != "" || public.Fragment != "" {
		return nil, vigil.Invalid("PublicURL", "The public URL must be scheme, host and port, such as https://vigil.example.edu.")
	}
	if public.Scheme != "https" && !loopbackHost(public.Hostname()) {
		return nil, vigil.Invalid("PublicURL", "The public URL must be https, except on a loopback host.")
	}
	if cfg.Store == nil {
		return nil, vigil.Invalid("Store", "The LTI tool needs a store.")
	}
	if cfg.Sealer == nil {
		return nil, vigil.Invalid("Sealer", "The LTI tool needs a sealer for its private keys.")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Name == "" {
		cfg.Name = "Vigil"
	}
	if cfg.Description == "" {
		cfg.Description = "Live proctoring for quizzes, without camera and microphone."
	}
	if len(cfg.Targets) == 0 {
		cfg.Targets = []string{LaunchPath, "/"}
	}
	if cfg.FirstDeployment == 0 {
		cfg.FirstDeployment = 7 * 24 * time.Hour
	}
	if cfg.OnError == nil {
		cfg.OnError = plainError
	}
	t := &Tool{cfg: cfg, public: public, origin: vigil.Origin(cfg.PublicURL)}
	t.keys = NewKeys(cfg.Store, cfg.Sealer, KeyOptions{
		LTIAge: cfg.LTIKeyAge, SocketAge: cfg.SocketKeyAge, Now: cfg.Now,
	})
	t.fetch = newFetcher(cfg.Transport)
	t.sets = newKeySets(t.fetch, cfg.Now)
	t.tokens = newTokens()
	t.parties = &knownParties{store: cfg.Store, now: cfg.Now}
	return t, nil
}

// Close ends the idle connections to platforms. The Tool can still be used.
func (t *Tool) Close() { t.fetch.close() }

// Keys are our own signing keys.
func (t *Tool) Keys() *Keys { return t.keys }

// Origin is the tool's own web origin.
func (t *Tool) Origin() string { return t.origin }

// Values are what an LMS admin copies when registering the tool by hand.
type Values struct {
	LoginURL  string // "Initiate login URL"
	LaunchURL string // "Redirection URI", and the tool or target link URL
	KeySetURL string // "Public keyset URL"
	Scopes    []string
	Messages  []string
}

// Values returns the tool's own URLs, scopes and message types.
func (t *Tool) Values() Values {
	return Values{
		LoginURL:  t.url(LoginPath),
		LaunchURL: t.url(LaunchPath),
		KeySetURL: t.url(KeysPath),
		Scopes:    []string{ScopeControl, ScopeMembers},
		Messages: []string{
			string(MessageResourceLink), string(MessageDeepLinking),
			string(MessageStartProctoring), string(MessageEndAssessment),
		},
	}
}

// url returns an absolute URL of the tool.
func (t *Tool) url(path string) string { return t.origin + path }

// Store is everything that package lti keeps. Errors carry the codes of vigil.Error.
type Store interface {
	PlatformStore
	InvitationStore
	KeyStore
	RecordStore
}

// PlatformStore keeps registered platforms and their deployments. CreatePlatform
// refuses with CodeExists when the id, or issuer and client id together, are taken.
// UpdatePlatform is conditional on p.Version and refuses with CodeConflict.
type PlatformStore interface {
	Platform(ctx context.Context, id string) (vigil.Platform, error)
	PlatformByClient(ctx context.Context, issuer, clientID string) (vigil.Platform, error)
	Platforms(ctx context.Context) ([]vigil.Platform, error)
	CreatePlatform(ctx context.Context, p vigil.Platform) error
	UpdatePlatform(ctx context.Context, p vigil.Platform) error
	DeletePlatform(ctx context.Context, id string) error
	Deployment(ctx context.Context, platformID, id string) (vigil.Deployment, error)
	Deployments(ctx context.Context, platformID string) ([]vigil.Deployment, error)
	SaveDeployment(ctx context.Context, d vigil.Deployment) error
}

// InvitationStore keeps invitations. TryInvitation counts one more try atomically and
// is CodeNotFound when the invitation is unknown, expired, spent or out of tries;
// SpendInvitation succeeds once, then refuses with CodeConflict.
type InvitationStore interface {
	CreateInvitation(ctx context.Context, i vigil.Invitation) error
	Invitation(ctx context.Context, hash string) (vigil.Invitation, error)
	TryInvitation(ctx context.Context, hash string, now time.Time) (vigil.Invitation, error)
	SpendInvitation(ctx context.Context, hash, platformID string, now time.Time) error
}

// KeyStore keeps our signing keys. UpdateKey is conditional on k.Version and stores
// Version+1.
type KeyStore interface {
	Keys(ctx context.Context, use vigil.KeyUse) ([]vigil.Key, error)
	CreateKey(ctx context.Context, k vigil.Key) error
	UpdateKey(ctx context.Context, k vigil.Key) error
	DeleteKey(ctx context.Context, id string) error
}

// RecordStore keeps small values that expire. CreateRecord refuses with CodeExists
// while a live record has that kind and key; TakeRecord is one atomic delete that
// returns what it deleted, so that exactly one caller wins.
type RecordStore interface {
	CreateRecord(ctx context.Context, r vigil.Record, now time.Time) error
	GetRecord(ctx context.Context, kind, key string, now time.Time) (vigil.Record, error)
	TakeRecord(ctx context.Context, kind, key string, now time.Time) (vigil.Record, error)
}
