package lms

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"vigil"
	"vigil/lti/ltitest"
)

// Where the quiz lies, like Moodle's.
const (
	viewPath     = "/mod/quiz/view.php"
	startPath    = "/mod/quiz/startattempt.php"
	attemptPath  = "/mod/quiz/attempt.php"
	processPath  = "/mod/quiz/processattempt.php"
	autosavePath = "/mod/quiz/autosave.ajax.php"
	statusPath   = "/mod/quiz/status.json"
	summaryPath  = "/mod/quiz/summary.php"
	reviewPath   = "/mod/quiz/review.php"
	pausedPath   = "/mod/quiz/accessrule/vigil/paused.php"
)

const (
	// pauseGrace lets the page's last save in after a pause.
	pauseGrace = 10 * time.Second
	// timeUpGrace lets the form in that a page posts when its clock reaches zero.
	timeUpGrace = 60 * time.Second
)

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func attemptURL(path, id string, more ...string) string {
	q := url.Values{"attempt": {id}}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return path + "?" + q.Encode()
}

// viewBody is the quiz's page in the course.
type viewBody struct {
	Quiz       ltitest.Link
	Minutes    int
	Instructor bool
	Attempts   []ltitest.Attempt
	Open       *ltitest.Attempt
	Error      string
	Notice     string
	StartPath  string
}

func (l *LMS) getView(w http.ResponseWriter, r *http.Request, u ltitest.User) {
	k, _ := l.p.Link(LinkID)
	q := r.URL.Query()
	b := viewBody{
		Quiz: k, Minutes: int(TimeLimit / time.Minute), Instructor: u.Role == ltitest.Instructor, Attempts: l.p.Attempts(u.ID, LinkID),
		Error: firstOf(q, "lti_errormsg"), Notice: firstOf(q, "lti_msg"), StartPath: startPath,
	}
	for i, a := range b.Attempts {
		if a.Open() {
			b.Open = &b.Attempts[i]
		}
	}
	l.show(w, r, http.StatusOK, "view", page{Title: k.Title, Body: b})
}

// postStart is "Attempt quiz": the student is launched into Vigil before the attempt.
func (l *LMS) postStart(w http.ResponseWriter, r *http.Request, u ltitest.User) {
	if u.Role != ltitest.Learner {
		l.fail(w, r, vigil.Errorf(vigil.CodeForbidden, "Only students attempt the quiz. Sign in as one of them."))
		return
	}
	launch, err := l.Proctored(u.ID)
	if err != nil {
		l.fail(w, r, err)
		return
	}
	if k, _ := l.p.Link(LinkID); k.Unproctored {
		a, err := l.p.StartUnproctored(launch)
		if err != nil {
			l.fail(w, r, err)
			return
		}
		l.started(w, r, a)
		return
	}
	http.Redirect(w, r, l.p.Begin(launch), http.StatusSeeOther)
}

// started is called by the platform when the student comes back with a verified StartAssessment.
func (l *LMS) started(w http.ResponseWriter, r *http.Request, a ltitest.Attempt) {
	http.Redirect(w, r, l.p.Issuer()+attemptURL(attemptPath, a.ID, "page", "0"), http.StatusSeeOther)
}

// mine finds the attempt of a request, which must be the user's; it answers where it is not.
func (l *LMS) mine(w http.ResponseWriter, r *http.Request, u ltitest.User) (ltitest.Attempt, bool) {
	a, ok := l.p.AttemptByID(r.Form.Get("attempt"))
	if !ok || a.UserID != u.ID {
		l.fail(w, r, vigil.Errorf(vigil.CodeNotFound, "This attempt is not one of yours. Start again from your course."))
		return a, false
	}
	return a, true
}

// elsewhere sends a student to where the attempt's state belongs, if that is not here.
func (l *LMS) elsewhere(w http.ResponseWriter, r *http.Request, a ltitest.Attempt, want ltitest.Status) bool {
	if a.Status == want {
		return false
	}
	to := attemptURL(reviewPath, a.ID)
	switch a.Status {
	case ltitest.Running:
		to = attemptURL(attemptPath, a.ID)
	case ltitest.Paused:
		to = attemptURL(pausedPath, a.ID, "page", cmp.Or(r.Form.Get("thispage"), r.Form.Get("page")))
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return true
}

// attemptBody is a page of the quiz, the summary, or the page shown while paused.
type attemptBody struct {
	Attempt   ltitest.Attempt
	Quiz      string
	Page      int
	Pages     int
	Questions []shown // of this page
	All       []shown // for the navigation and the summary
	Answered  int
	Tool      string
	Process   string
	Summary   string
	Resume    string
	Vigil     map[string]any // configuration of Vigil's monitor; nil: the quiz is not proctored
	Clock     map[string]any // configuration of the page's own script
}

// attemptBody makes a page that was asked for at a time: the stamp says when, and when it
// was answered.
func (l *LMS) attemptBody(a ltitest.Attempt, name string, n int, requested time.Time) attemptBody {
	l.mu.Lock()
	given := l.answers[a.ID]
	all := questions(-1, given)
	here := questions(n, given)
	l.mu.Unlock()
	now := l.now()
	b := attemptBody{
		Attempt: a, Quiz: quizTitle, Page: n, Pages: len(quiz), Questions: here, All: all, Tool: l.cfg.Tool, Process: processPath,
		Summary: attemptURL(summaryPath, a.ID), Resume: attemptURL(attemptPath, a.ID),
		Vigil: map[string]any{
			"tokenEndpoint": l.cfg.Tool + "/api/v1/socket/token", "assertionURL": "/vigil/assertion?attempt=" + url.QueryEscape(a.ID),
			"lang": "en", "page": name, "pages": len(quiz), "attempt": a.ID, "back": attemptURL(reviewPath, a.ID),
		},
		Clock: map[string]any{
			"attempt": a.ID, "page": n, "now": millis(now), "end": millis(a.EndsAt(now)), "state": a.Status,
			"autosave": autosavePath, "status": attemptURL(statusPath, a.ID), "paused": attemptURL(pausedPath, a.ID, "page", strconv.Itoa(max(n, 0))),
			"review": attemptURL(reviewPath, a.ID), "resume": attemptURL(attemptPath, a.ID, "page", strconv.Itoa(max(n, 0))),
		},
	}
	if name == "attempt" {
		b.Vigil["page"] = n + 1
	}
	if stamp := l.p.PageStamp(a, requested, now); stamp != "" {
		b.Vigil["stamp"] = stamp
	}
	if k, _ := l.p.Link(a.LinkID); k.Unproctored {
		b.Vigil = nil
	}
	for _, q := range all {
		if len(q.Values) > 0 {
			b.Answered++
		}
	}
	return b
}

func pageOf(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return min(max(n, 0), len(quiz)-1)
}

func (l *LMS) getAttempt(w http.ResponseWriter, r *http.Request, u ltitest.User) {
	requested := l.now()
	l.beSlow(r)
	a, ok := l.mine(w, r, u)
	if !ok || l.elsewhere(w, r, a, ltitest.Running) {
		return
	}
	defer l.served(a)
	l.show(w, r, http.StatusOK, "attempt", page{Title: quizTitle, Wide: true, Body: l.attemptBody(a, "attempt", pageOf(r.Form.Get("page")), requested)})
}

// openedPatience is how long a request may take at whose end the plugin reports an opening; after
// that cron does.
const openedPatience = 2 * time.Second

// served reports that an attempt was opened, once its first page is served.
func (l *LMS) served(a ltitest.Attempt) {
	if !l.p.Served(a.ID) || l.ctx.Err() != nil {
		return
	}
	l.work.Add(1)
	go func() {
		defer l.work.Done()
		ctx, cancel := context.WithTimeout(l.ctx, openedPatience)
		defer cancel()
		if err := l.p.SendNow(ctx, a.ID); err != nil && l.ctx.Err() == nil {
			l.log.Info("opening not reported; cron does", "error", err)
		}
	}()
}

func (l *LMS) getSummary(w http.ResponseWriter, r *http.Request, u ltitest.User) {
	requested := l.now()
	l.beSlow(r)
	a, ok := l.mine(w, r, u)
	if !ok || l.elsewhere(w, r, a, ltitest.Running) {
		return
	}
	defer l.served(a)
	l.show(w, r, http.StatusOK, "summary", page{Title: "Summary of attempt", Wide: true, Body: l.attemptBody(a, "summary", -1, requested)})
}

func (l *LMS) getPaused(w http.ResponseWriter, r *http.Request, u ltitest.User) {
	requested := l.now()
	l.beSlow(r)
	a, ok := l.mine(w, r, u)
	if !ok || l.elsewhere(w, r, a, ltitest.Paused) {
		return
	}
	b := l.attemptBody(a, "paused", -1, requested)
	b.Resume = attemptURL(attemptPath, a.ID, "page", strconv.Itoa(pageOf(r.Form.Get("page"))))
	b.Clock["resume"] = b.Resume
	l.show(w, r, http.StatusOK, "paused", page{Title: "Paused", Body: b})
}

// SetSlow makes the LMS's quiz pages slow: f is called for each between its request and its
// answer. Nil ends that.
func (l *LMS) SetSlow(f func(r *http.Request)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slow = f
}

func (l *LMS) beSlow(r *http.Request) {
	l.mu.Lock()
	f := l.slow
	l.mu.Unlock()
	if f != nil {
		f(r)
	}
}

// keep saves one page's answers and, if asked, hands the attempt in. It runs under the
// platform's lock, so that no save slips in after a pause or a termination.
func (l *LMS) keep(a ltitest.Attempt, pageNumber int, form url.Values, finish bool) (ltitest.Attempt, error) {
	return l.p.UpdateAttempt(a.ID, func(a *ltitest.Attempt) error {
		now := l.now()
		inTime := a.Status == ltitest.Running ||
			a.Status == ltitest.Paused && now.Sub(a.PausedAt) <= pauseGrace ||
			a.Status == ltitest.Complete && a.Ended.Equal(a.Ends) && now.Sub(a.Ended) <= timeUpGrace
		switch {
		case inTime:
		case a.Status == ltitest.Paused:
			return vigil.Errorf(vigil.CodeIllegal, "The attempt is paused. Nothing was saved.")
		default:
			return vigil.Errorf(vigil.CodeIllegal, "The attempt is over. Nothing was saved.")
		}
		l.mu.Lock()
		if l.answers[a.ID] == nil {
			l.answers[a.ID] = answers{}
		}
		l.answers[a.ID].take(pageNumber, form)
		l.mu.Unlock()
		if finish && a.Status == ltitest.Running {
			a.Status, a.Ended = ltitest.Complete, now
		}
		return nil
	})
}

// postProcess is processattempt.php: it saves the page and answers 303 to the next.
func (l *LMS) postProcess(w http.ResponseWriter, r *http.Request, u ltitest.User) {
	a, ok := l.mine(w, r, u)
	if !ok {
		return
	}
	f := r.PostForm
	thisPage := -1
	if v := f.Get("thispage"); v != "" {
		thisPage = pageOf(v)
	}
	finish := f.Get("finishattempt") == "1"
	a, err := l.keep(a, thisPage, f, finish)
	if err != nil && vigil.CodeOf(err) != vigil.CodeIllegal {
		l.fail(w, r, err)
		return
	}
	if a.Status != ltitest.Running {
		if finish && a.Status == ltitest.Complete && err == nil {
			l.end(w, r, a)
			return
		}
		l.elsewhere(w, r, a, ltitest.Running)
		return
	}
	to := attemptURL(summaryPath, a.ID)
	if next := f.Get("nextpage"); next != "summary" {
		to = attemptURL(attemptPath, a.ID, "page", strconv.Itoa(pageOf(next)))
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// end carries LtiEndAssessment to Vigil by the student's browser, once, where Vigil
// asked for it; the review page is where it comes back to.
func (l *LMS) end(w http.ResponseWriter, r *http.Request, a ltitest.Attempt) {
	review := attemptURL(reviewPath, a.ID)
	l.mu.Lock()
	first := !l.ended[a.ID]
	l.ended[a.ID] = true
	l.mu.Unlock()
	if !first || !a.EndReturn {
		http.Redirect(w, r, review, http.StatusSeeOther)
		return
	}
	l.save()
	http.Redirect(w, r, l.p.Begin(ltitest.Launch{
		Message: ltitest.EndAssessment, ClientID: a.ClientID, UserID: a.UserID, LinkID: a.LinkID, Attempt: a.Number, Return: l.p.Issuer() + review,
	}), http.StatusSeeOther)
}

// postAutosave is autosave.ajax.php; its answer tells the page's clock the time left.
func (l *LMS) postAutosave(w http.ResponseWriter, r *http.Request, u ltitest.User) {
	a, ok := l.p.AttemptByID(r.PostForm.Get("attempt"))
	if !ok || a.UserID != u.ID {
		writeJSON(w, http.StatusNotFound, map[string]any{"error": "This attempt is not one of yours."})
		return
	}
	a, err := l.keep(a, pageOf(r.PostForm.Get("thispage")), r.PostForm, false)
	if err != nil {
		writeJSON(w, http.StatusConflict, map[string]any{"error": "Nothing was saved.", "state": a.Status})
		return
	}
	l.status(w, a)
}

// getStatus tells a page without a socket how the attempt stands.
func (l *LMS) getStatus(w http.ResponseWriter, r *http.Request, u ltitest.User) {
	a, ok := l.p.AttemptByID(r.Form.Get("attempt"))
	if !ok || a.UserID != u.ID {
		writeJSON(w, http.StatusNotFound, map[string]any{"error": "This attempt is not one of yours."})
		return
	}
	l.status(w, a)
}

func (l *LMS) status(w http.ResponseWriter, a ltitest.Attempt) {
	now := l.now()
	writeJSON(w, http.StatusOK, map[string]any{"state": a.Status, "now": millis(now), "end": millis(a.EndsAt(now))})
}

// reviewBody is the page after the attempt.
type reviewBody struct {
	Attempt ltitest.Attempt
	All     []shown
	TimeUp  bool
	Notice  string
	Error   string
	ViewURL string
}

func (l *LMS) getReview(w http.ResponseWriter, r *http.Request, u ltitest.User) {
	a, ok := l.mine(w, r, u)
	if !ok {
		return
	}
	if a.Open() {
		l.elsewhere(w, r, a, "")
		return
	}
	l.mu.Lock()
	all := questions(-1, l.answers[a.ID])
	sent := l.ended[a.ID]
	l.mu.Unlock()
	q := r.URL.Query()
	b := reviewBody{
		Attempt: a, All: all, TimeUp: a.Status == ltitest.Complete && a.Ended.Equal(a.Ends), Notice: firstOf(q, "lti_msg"),
		Error: firstOf(q, "lti_errormsg"), ViewURL: viewPath,
	}
	if b.TimeUp && !sent { // the time ran out while no page was there to hand it in
		l.end(w, r, a)
		return
	}
	l.show(w, r, http.StatusOK, "review", page{Title: "Review", Body: b})
}
