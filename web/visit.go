package web

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"vigil"
)

// A visit is a browser's web session: what its launches allow it to see. The cookie holds
// a random token; the rest is kept in the store, sealed under the token.
const (
	visitCookie = "__Host-vigil-visit" // no neighbouring host can plant one
	visitHTTP   = "vigil-visit"        // on a loopback host, where __Host- is refused
	visitKind   = "web.visit"          // Record kind
	visitLife   = 12 * time.Hour
)

func (s *Server) newVisits() *scs.SessionManager {
	// Not scs.New: it starts a goroutine for a store of its own, which nothing ends.
	m := &scs.SessionManager{Store: visitStore{s.sealed(visitKind), s.log}, Codec: scs.GobCodec{}, Lifetime: visitLife}
	m.Cookie.Name = visitCookie
	if !strings.HasPrefix(s.tool.Origin(), "https:") {
		m.Cookie.Name = visitHTTP
	}
	m.Cookie.Path = "/"
	m.Cookie.HttpOnly = true
	// In a frame of the LMS only a Partitioned cookie survives, and that must be Secure;
	// browsers accept Secure cookies from loopback hosts over http.
	m.Cookie.SameSite = http.SameSiteNoneMode
	m.Cookie.Secure = true
	m.Cookie.Partitioned = true
	m.Cookie.Persist = false
	m.ErrorFunc = func(w http.ResponseWriter, r *http.Request, err error) {
		s.refuse(w, r, vigil.Wrap(err, vigil.CodeUnavailable, "Vigil cannot reach its store at the moment. Try again in a few seconds."))
	}
	return m
}

// visitStore implements scs.CtxStore over records. scs is not asked to hash the tokens:
// what is kept is sealed under them.
type visitStore struct {
	records sealedRecords
	log     *slog.Logger
}

var _ scs.CtxStore = visitStore{}

func (v visitStore) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	b, err := v.records.get(ctx, token)
	if errors.Is(err, errSealed) { // the record is damaged
		v.log.WarnContext(ctx, "visit not readable; the person must launch again", "error", err)
	}
	if errors.Is(err, vigil.ErrNotFound) {
		b, err = v.unsealed(ctx, token)
	}
	if errors.Is(err, vigil.ErrNotFound) {
		return nil, false, nil
	}
	return b, err == nil, err
}

// unsealed reads a visit as it was kept before visits were sealed: in clear, under the
// token's hash. It is here for the 12 hours after an update, in which a restart during an
// exam must not sign out its proctors; nothing is written that way any more.
func (v visitStore) unsealed(ctx context.Context, token string) ([]byte, error) {
	r, err := v.records.store.GetRecord(ctx, visitKind, unsealedKey(token), v.records.now())
	return r.Value, err
}

func unsealedKey(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (v visitStore) CommitCtx(ctx context.Context, token string, b []byte, expiry time.Time) error {
	return v.records.put(ctx, token, b, expiry)
}

func (v visitStore) DeleteCtx(ctx context.Context, token string) error {
	return errors.Join(v.records.remove(ctx, token), v.records.store.DeleteRecord(ctx, visitKind, unsealedKey(token)))
}

// The three methods without a context are never called: scs prefers the others.
func (v visitStore) Find(token string) ([]byte, bool, error) {
	return v.FindCtx(context.Background(), token)
}

func (v visitStore) Commit(token string, b []byte, expiry time.Time) error {
	return v.CommitCtx(context.Background(), token, b, expiry)
}

func (v visitStore) Delete(token string) error { return v.DeleteCtx(context.Background(), token) }

// pass is what one launch allows: to proctor an exam, to check in to a session, to see
// one's own status, to answer a deep linking request. It is kept in the visit under
// "kind:id".
type pass struct {
	Kind       passKind  `json:"kind"`
	ID         string    `json:"id"` // of the exam or the session
	PlatformID string    `json:"platform"`
	UserID     string    `json:"user"`
	Name       string    `json:"name,omitempty"`
	Until      time.Time `json:"until"`
	Frame      []string  `json:"frame,omitempty"` // origins of the platform, which may frame the page
	ReturnURL  string    `json:"return,omitempty"`
	Lang       string    `json:"lang,omitempty"`

	Start      *startPass `json:"start,omitempty"`
	Link       *linkPass  `json:"link,omitempty"`
	MembersURL string     `json:"members,omitempty"`
}

type passKind string

const (
	passProctor passKind = "proctor" // ID: exam
	passStudent passKind = "student" // ID: session
	passStatus  passKind = "status"  // ID: exam
	passLink    passKind = "link"    // ID: "deeplink"
)

// startPass is what StartAssessment must echo.
type startPass struct {
	Deployment   string    `json:"deployment"`
	ResourceLink string    `json:"resource_link"`
	Attempt      int       `json:"attempt"`
	SessionData  string    `json:"session_data"`
	StartURL     string    `json:"start_url"`
	Started      time.Time `json:"started"`
}

// linkPass is what a deep linking answer must echo.
type linkPass struct {
	Deployment string `json:"deployment"`
	Issuer     string `json:"issuer"`
	ContextID  string `json:"context"`
	Course     string `json:"course"`
	ReturnURL  string `json:"return_url"`
	Data       string `json:"data"`
	// Quizzes are those that the platform offers beside the exams known here.
	Quizzes []quizChoice `json:"quizzes,omitempty"`
}

// proctorLife ends a proctor's rights for good: LTI never reports that someone was
// unenrolled.
const proctorLife = 12 * time.Hour

// maxPasses bounds what one visit holds; the oldest goes first. The demo's browser is
// several people at once.
const maxPasses = 64

func passKey(kind passKind, id string) string { return "pass:" + string(kind) + ":" + id }

// admit adds a pass to the browser's visit. The token changes with each launch, against
// session fixation; passes of other people are dropped unless configured otherwise.
func (s *Server) admit(ctx context.Context, p pass) error {
	if err := s.visits.RenewToken(ctx); err != nil {
		return vigil.Wrap(err, vigil.CodeUnavailable, "Vigil cannot keep your visit at the moment. Try again in a few seconds.")
	}
	var kept []pass
	for _, key := range s.visits.Keys(ctx) {
		if key == browserID {
			continue
		}
		old, ok := s.pass(ctx, key)
		if !ok || !s.keep && (old.PlatformID != p.PlatformID || old.UserID != p.UserID) {
			s.visits.Remove(ctx, key)
			continue
		}
		kept = append(kept, old)
	}
	if len(kept) >= maxPasses {
		slices.SortFunc(kept, func(a, b pass) int { return a.Until.Compare(b.Until) })
		for _, old := range kept[:len(kept)-maxPasses+1] {
			s.visits.Remove(ctx, passKey(old.Kind, old.ID))
		}
	}
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	s.visits.Put(ctx, passKey(p.Kind, p.ID), string(raw))
	s.nameBrowser(ctx)
	return nil
}

func (s *Server) pass(ctx context.Context, key string) (pass, bool) {
	if !strings.HasPrefix(key, "pass:") {
		return pass{}, false
	}
	var p pass
	raw := s.visits.GetString(ctx, key)
	if raw == "" || json.Unmarshal([]byte(raw), &p) != nil || !s.now().Before(p.Until) {
		return pass{}, false
	}
	return p, true
}

// need returns the visit's pass, or CodeForbidden with what to do. A platform that was
// switched off or removed takes its passes with it.
func (s *Server) need(ctx context.Context, kind passKind, id string) (pass, error) {
	p, ok := s.pass(ctx, passKey(kind, id))
	if !ok {
		return pass{}, vigil.Errorf(vigil.CodeForbidden, "This page is not open to you, or your visit is over. Open it again from your course.")
	}
	platform, err := s.store.Platform(ctx, p.PlatformID)
	if err != nil && !errors.Is(err, vigil.ErrNotFound) {
		return pass{}, err
	}
	if err != nil || platform.State != vigil.PlatformActive {
		return pass{}, vigil.Errorf(vigil.CodeForbidden, "Your learning platform may not use Vigil at the moment. Ask its administrator.")
	}
	return p, nil
}
