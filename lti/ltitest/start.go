package ltitest

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"time"

	"vigil"
)

// Start is a StartAssessment that was verified.
type Start struct {
	ClientID     string
	UserID       string
	LinkID       string
	Attempt      int
	EndReturn    bool           // end_assessment_return
	VerifiedUser map[string]any // verified_user, if there was one
	ErrorMessage string
	Claims       map[string]any // all of it
}

// code hands a verified start from start.php, which sees no cookie, to continue.php.
type code struct {
	start   Start
	expires time.Time
}

// Starts are the StartAssessments that were verified, oldest first.
func (p *Platform) Starts() []Start {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.starts)
}

// VerifyStart checks an LtiStartAssessment completely (Proctoring Services 1.0, 3.3):
// the session data first, so that a stray JWT costs no fetch of a key set.
func (p *Platform) VerifyStart(ctx context.Context, token string) (Start, error) {
	j, err := parseJWS(token)
	if err != nil {
		return Start{}, err
	}
	now := p.cfg.Now()
	p.mu.Lock()
	p.sweepLocked(now)
	s, ok := p.sessions[stringOf(j.claims, ClaimAP+"session_data")]
	ok = ok && s.Expires.After(now)
	tool, known := p.tools[s.ClientID]
	p.mu.Unlock()
	if !ok || !known {
		return Start{}, vigil.Errorf(vigil.CodeForbidden, "The way back to the quiz took too long or was not begun here. Start again from your course.")
	}
	err = p.checkTool(ctx, tool, j, toolJWT{
		name: "StartAssessment", issuer: tool.ClientID, audience: p.cfg.Issuer, unique: "nonce", longest: 10 * time.Minute,
	})
	if err != nil {
		return Start{}, err
	}
	attempt, isInt := integerOf(j.claims, ClaimAP+"attempt_number")
	bad := func(field string) error {
		return vigil.Errorf(vigil.CodeUnauthorized, "StartAssessment: the %s does not match the launch.", field)
	}
	switch {
	case stringOf(j.claims, ClaimLTI+"message_type") != string(StartAssessment):
		return Start{}, bad("message type")
	case stringOf(j.claims, ClaimLTI+"version") != "1.3.0":
		return Start{}, bad("version")
	case stringOf(j.claims, ClaimLTI+"deployment_id") != tool.DeploymentID:
		return Start{}, bad("deployment")
	case stringOf(objectOf(j.claims, ClaimLTI+"resource_link"), "id") != s.LinkID:
		return Start{}, bad("resource link")
	case !isInt || attempt != int64(s.Attempt):
		return Start{}, bad("attempt number")
	}
	endReturn, isBool := j.claims[ClaimAP+"end_assessment_return"].(bool)
	if _, there := j.claims[ClaimAP+"end_assessment_return"]; there && !isBool {
		return Start{}, vigil.Errorf(vigil.CodeInvalid, "StartAssessment: end_assessment_return is not a boolean.")
	}
	st := Start{
		ClientID: s.ClientID, UserID: s.UserID, LinkID: s.LinkID, Attempt: s.Attempt, EndReturn: endReturn,
		VerifiedUser: objectOf(j.claims, ClaimAP+"verified_user"), ErrorMessage: stringOf(j.claims, ClaimAP+"errormsg"),
	}
	p.mu.Lock()
	p.starts = append(p.starts, st)
	p.mu.Unlock()
	return st, nil
}

// serveStart takes the tool's form post. Moodle's cookie does not come with it, so a
// one-time code leads the browser on; Open edX insists on its cookie.
func (p *Platform) serveStart(w http.ResponseWriter, r *http.Request) {
	refuse := func(err error) {
		status := vigil.CodeOf(err).Status()
		if p.cfg.Like == OpenEdX && vigil.CodeOf(err) != vigil.CodeForbidden {
			status = http.StatusInternalServerError
		}
		p.failWith(w, r, status, err)
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxJWT+4096)
	if err := r.ParseForm(); err != nil {
		refuse(vigil.Wrap(err, vigil.CodeInvalid, "The request cannot be read."))
		return
	}
	if p.cfg.Like == OpenEdX {
		if _, ok := p.SignedIn(r); !ok {
			refuse(vigil.Errorf(vigil.CodeForbidden, "You are not signed in to the LMS in this browser."))
			return
		}
	}
	if n := len(r.PostForm["JWT"]); n != 1 {
		refuse(vigil.Invalid("JWT", "There must be one JWT."))
		return
	}
	st, err := p.VerifyStart(r.Context(), r.PostForm.Get("JWT"))
	if err != nil {
		refuse(err)
		return
	}
	if st.ErrorMessage != "" {
		refuse(vigil.Errorf(vigil.CodeForbidden, "The proctoring tool reports: %s", st.ErrorMessage))
		return
	}
	c := rand.Text()
	p.mu.Lock()
	p.codes[c] = code{start: st, expires: p.cfg.Now().Add(5 * time.Minute)}
	p.mu.Unlock()
	http.Redirect(w, r, p.cfg.Issuer+p.path(AtContinue)+"?"+url.Values{"c": {c}}.Encode(), http.StatusSeeOther)
}

// StartUnproctored starts or finds the attempt of a launch that the tool does not see, for its
// activity is not proctored any more.
func (p *Platform) StartUnproctored(l Launch) (Attempt, error) {
	if k, ok := p.Link(l.LinkID); !ok || !k.Unproctored {
		return Attempt{}, vigil.Errorf(vigil.CodeIllegal, "This activity is proctored.")
	}
	return p.startAttempt(session{ClientID: l.ClientID, UserID: l.UserID, LinkID: l.LinkID, Attempt: l.Attempt}, false)
}

// serveContinue spends the code for the same user's browser and starts the attempt.
func (p *Platform) serveContinue(w http.ResponseWriter, r *http.Request) {
	u, err := p.requireUser(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	id := r.URL.Query().Get("c")
	p.mu.Lock()
	now := p.cfg.Now()
	p.sweepLocked(now)
	c, ok := p.codes[id]
	ok = ok && c.expires.After(now)
	if ok && c.start.UserID == u.ID {
		delete(p.codes, id)
	}
	p.mu.Unlock()
	if !ok || c.start.UserID != u.ID {
		p.fail(w, r, vigil.Errorf(vigil.CodeForbidden, "This page works once, for the student who was launched. Start again from your course."))
		return
	}
	s := c.start
	a, err := p.startAttempt(session{ClientID: s.ClientID, UserID: s.UserID, LinkID: s.LinkID, Attempt: s.Attempt}, s.EndReturn)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if p.cfg.Started != nil {
		p.cfg.Started(w, r, a)
		return
	}
	writePage(w, "Attempt "+a.ID, "The attempt has begun.")
}
