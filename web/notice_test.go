package web_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/lti/ltitest"
	"vigil/web"
)

// noticeOf is the text of a check-in page.
func noticeOf(page *ltitest.Page) string { return html.UnescapeString(page.Body) }

const everything = `{"watch":["focus","clipboard","fullscreen","display","window","idle"],"retention":{"signals":31,"chat":32,"sessions":433,"audit":434}}`

func TestTheNoticeNamesHowLongEachThingIsKept(t *testing.T) {
	for lang, days := range map[string]string{"en": " days", "id": " hari"} {
		r := newRig(t)
		l := r.lms(pluginQuiz(everything))
		l.SetMischief(ltitest.Mischief{Claims: func(c map[string]any) {
			c["https://purl.imsglobal.org/spec/lti/claim/launch_presentation"].(map[string]any)["locale"] = lang
		}})
		page := l.person(student).attempt(1)
		r.status(page, http.StatusOK)
		for _, n := range []int{31, 32, 433, 434} {
			if want := fmt.Sprint("<dt>", n, days, "</dt>"); !strings.Contains(page.Body, want) {
				t.Errorf("%s: got no %q in the notice:\n%s", lang, want, page.Body)
			}
		}
		if want := fmt.Sprint(" 434", days); !strings.Contains(page.Body, want) {
			t.Errorf("%s: got no longest time %q", lang, want)
		}
	}
}

// inNotice says in what words of the English notice the student reads of each kind of signal.
// A kind that is not here is not told, and fails.
var inNotice = map[vigil.Kind]string{
	vigil.KindConnected:      "whether you are connected",
	vigil.KindReconnected:    "whether you are connected",
	vigil.KindLost:           "whether you are connected",
	vigil.KindUnwatched:      "whether you are connected",
	vigil.KindHole:           "what this server notices of your connection",
	vigil.KindMonitorSilent:  "what your browser reports, and what this server notices",
	vigil.KindTampering:      "what this server notices of your connection",
	vigil.KindRefused:        "what your browser reports, and what this server notices",
	vigil.KindRTT:            "whether you are connected",
	vigil.KindPageTurned:     "when you turn a page",
	vigil.KindCapabilities:   "what your browser can report",
	vigil.KindConsent:        "that you agreed to this",
	vigil.KindHandRaised:     "your raised hand",
	vigil.KindHandLowered:    "your raised hand",
	vigil.KindAddress:        "that your network address changes",
	vigil.KindAddressBrowser: "that your network address changes",
	vigil.KindSecondSession:  "a second device or browser connects",
	vigil.KindTokenReplay:    "a second device or browser connects",
	vigil.KindUserMismatch:   "a second device or browser connects",
	vigil.KindFocusGained:    "when the quiz page is hidden or loses the focus, and for how long",
	vigil.KindBlur:           "when the quiz page is hidden or loses the focus, and for how long",
	vigil.KindHidden:         "when the quiz page is hidden or loses the focus, and for how long",
	vigil.KindCopy:           "that you copy, cut or paste, and how many characters",
	vigil.KindCut:            "that you copy, cut or paste, and how many characters",
	vigil.KindPaste:          "that you copy, cut or paste, and how many characters",
	vigil.KindContextMenu:    "the context menu",
	vigil.KindResize:         "the size of the window when you change it",
	vigil.KindPrint:          "printing",
	vigil.KindDevtools:       "signs of developer tools",
	vigil.KindIdle:           "when there is no input",
	vigil.KindFullscreenLeft: "when you leave or refuse full screen",
	vigil.KindFullscreenNo:   "when you leave or refuse full screen",
	vigil.KindDisplayMore:    "whether more than one screen is connected",
	vigil.KindDisplayAdded:   "whether more than one screen is connected",
}

func TestTheNoticeNamesEveryKindOfSignalThatIsWatchedAndNoOther(t *testing.T) {
	r := newRig(t)
	all := noticeOf(r.lms(pluginQuiz(everything)).person(student).attempt(1))
	none := noticeOf(newRig(t).lms(pluginQuiz(`{"watch":[]}`)).person(student).attempt(1))
	// Without our plugin nothing of ours is in the quiz page.
	other := noticeOf(newRig(t).lms(ltitest.Config{}).person(student).attempt(1))
	r = newRig(t)
	if c := r.config(r.lms(ltitest.Config{}).person(student).attempt(1)); c["watch"] != nil {
		t.Errorf("another platform: got a check of %v, want none of what is not watched", c["watch"])
	}
	for _, k := range vigil.Kinds() {
		words := inNotice[k]
		if words == "" {
			t.Errorf("%s: got no words for it, want some in the notice", k)
			continue
		}
		if !strings.Contains(all, words) {
			t.Errorf("%s: got no %q in the notice", k, words)
		}
		for name, page := range map[string]string{"an exam that watches nothing": none, "another platform": other} {
			if got, want := strings.Contains(page, words), k.WatchOf() == ""; got != want {
				t.Errorf("%s: got %q in the notice of %s: %v, want %v", k, words, name, got, want)
			}
		}
	}
	for _, words := range []string{"messages", "warnings, pauses, extra time", "gaps in the connection", "with name and network address: that you agreed", "Nobody else", "ask for an erasure"} {
		if !strings.Contains(none, words) {
			t.Errorf("got no %q in the notice", words)
		}
	}
}

func TestTheNoticeSaysWhatThePlatformIsTold(t *testing.T) {
	r := newRig(t)
	with := noticeOf(r.lms(pluginQuiz(`{}`)).person(student).attempt(1))
	if !strings.Contains(with, "what proctors decide: pauses") || !strings.Contains(with, "a copy of all of this") {
		t.Errorf("got a notice that does not say that the platform is told:\n%s", with)
	}
}

func TestTheNoticeNamesTheSchoolsPolicyAndContact(t *testing.T) {
	privacy := web.Privacy{PolicyURL: "https://school.example/privacy?a=1&b=2", Contact: "mailto:dpo@school.example?subject=Vigil"}
	for _, tt := range []struct {
		contact, want string
	}{
		{privacy.Contact, `<a href="mailto:dpo@school.example?subject=Vigil"><bdi>dpo@school.example</bdi></a>`},
		{"dpo@school.example", `<a href="mailto:dpo@school.example"><bdi>dpo@school.example</bdi></a>`},
		{"Data protection, room <7>?", `<bdi>Data protection, room &lt;7&gt;?</bdi>`},
	} {
		privacy.Contact = tt.contact
		r := newRig(t, func(c *web.Config) { c.Privacy = privacy })
		l := r.lms(pluginQuiz(`{}`))
		p := l.person(student)
		pages := map[string]*ltitest.Page{
			"check-in": p.attempt(1), "home": p.get("/"), "status": p.launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: quiz}),
			"end": p.launch(ltitest.Launch{Message: ltitest.EndAssessment, LinkID: quiz, Attempt: 1, ErrorMessage: "over"}),
		}
		for name, page := range pages {
			if !strings.Contains(page.Body, `href="https://school.example/privacy?a=1&amp;b=2"`) || !strings.Contains(page.Body, tt.want) {
				t.Errorf("%s: got no policy or no %s:\n%s", name, tt.want, page.Body)
			}
		}
		if strings.Contains(pages["check-in"].Body, "Your school answers for this") {
			t.Error("got a notice that sends to the school, want the contact alone")
		}
	}
	r := newRig(t)
	page := r.lms(pluginQuiz(`{}`)).person(student).attempt(1)
	r.contains(page, "Your school answers for this")
	if strings.Contains(page.Body, "Privacy:") {
		t.Error("got a line for settings that are not set")
	}
}

// TestAChangedNoticeAsksAgain changes what is watched after the student agreed: the running
// attempt goes on, and the next check-in asks.
func TestAChangedNoticeAsksAgain(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{"watch":["focus"]}`))
	p := l.person(student)
	first := p.attempt(1)
	id := last(first)
	r.contains(p.start(first), "The attempt has begun.")
	before := r.session(id)
	if len(before.Consents) != 1 || before.Consents[0].Notice == "" || !before.Consents[0].At.Equal(before.Ready) {
		t.Fatalf("got consents %+v, ready %v, want one of then", before.Consents, before.Ready)
	}
	token := func() int {
		a, _ := l.FindAttempt(student, quiz, 1)
		return r.call(stranger(), "POST", "/api/v1/socket/token", `{"assertion":"`+l.Assertion(a)+`"}`).status
	}
	r.want("status of the quiz page's token", token(), http.StatusOK)

	same := p.attempt(1)
	r.contains(same, "You have agreed before")
	r.contains(p.start(same), "The attempt has begun.")
	r.want("consents", len(r.session(id).Consents), 1)

	change := func(edit func(p *vigil.Policy)) {
		e, err := r.store.Exam(t.Context(), before.ExamID)
		r.ok(err)
		edit(&e.Policy)
		e.Managed = false
		r.ok(r.store.UpdateExam(t.Context(), e))
	}
	old := p.get("/checkin/" + id) // shown before the change
	change(func(p *vigil.Policy) { p.Retention.Signals = 12; p.Attention = 0.9 })
	r.want("status of the running quiz page's token", token(), http.StatusOK)
	starts := len(l.Starts())
	for name, page := range map[string]*ltitest.Page{"a page of before": p.start(old), "a new one": p.get("/checkin/" + id)} {
		r.status(page, http.StatusOK)
		if !strings.Contains(page.Body, "has changed since you last agreed") || !strings.Contains(page.Body, `type="checkbox"`) || !strings.Contains(page.Body, "12 days") {
			t.Errorf("%s: got no question, want the new notice:\n%s", name, page.Body)
		}
	}
	ask := p.get("/checkin/" + id)
	r.contains(p.submit(ask, "checkin-form", url.Values{}), "has changed since you last agreed") // without the tick
	r.want("starts without consent", len(l.Starts()), starts)
	r.contains(p.start(ask), "The attempt has begun.")
	after := r.session(id)
	if len(after.Consents) != 2 || after.Consents[1].Notice == before.Consents[0].Notice || after.State != vigil.StateActive || !after.Ready.Equal(before.Ready) {
		t.Errorf("got %+v, want a second consent, and the attempt as it was", after)
	}

	change(func(p *vigil.Policy) { p.Attention = 0.5; p.LostTimeCap = 3 }) // says nothing else to the student
	r.contains(p.get("/checkin/"+id), "You have agreed before")

	entries, _, err := r.store.AuditOfExam(t.Context(), before.ExamID, vigil.Page{})
	r.ok(err)
	var details []string
	for _, a := range entries {
		if a.Action == "session.consent" {
			details = append(details, a.Detail)
			if a.From == "" || a.By.Name == "" { // as the notice says
				t.Errorf("got entry %+v, want the student's name and network address", a)
			}
		}
	}
	if len(details) != 2 || !strings.HasPrefix(details[0], "notice "+after.Consents[1].Notice+" ") || !strings.HasPrefix(details[1], "notice "+after.Consents[0].Notice+" ") ||
		!strings.Contains(details[0], "signals 12") || !strings.Contains(details[1], "watched connection elsewhere focus people") {
		t.Errorf("got audit entries %q, want what was agreed to in each", details)
	}
}

// TestAChangedNoticeAsksWhoWaitsForAdmission agrees to the new notice while waiting.
func TestAChangedNoticeAsksWhoWaitsForAdmission(t *testing.T) {
	r := newRig(t, func(c *web.Config) { c.Privacy = web.Privacy{Contact: "a"} })
	l := r.lms(pluginQuiz(`{"admission":true}`))
	p := l.person(student)
	checkin := p.attempt(1)
	id := last(checkin)
	r.contains(p.start(checkin), "a proctor will admit you")
	e, err := r.store.Exam(t.Context(), r.session(id).ExamID)
	r.ok(err)
	e.Policy.Watch = []vigil.Watch{vigil.WatchIdle}
	r.ok(r.store.UpdateExam(t.Context(), e))
	ask := p.get("/checkin/" + id)
	r.contains(ask, "has changed since you last agreed")
	r.contains(p.start(ask), "a proctor will admit you")
	s := r.session(id)
	r.want("state", s.State, vigil.StateAwaiting)
	r.want("consents", len(s.Consents), 2)
}

// TestWithoutThePluginTheConnectionsWindowAsksAgain has no quiz page of ours: the window that
// holds the connection is loaded again after a change, when it is too late to begin anew.
func TestWithoutThePluginTheConnectionsWindowAsksAgain(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	p := l.person(student)
	checkin := p.attempt(1)
	id := last(checkin)
	p.start(checkin)
	r.want("state", r.session(id).State, vigil.StateActive)
	e, err := r.store.Exam(t.Context(), r.session(id).ExamID)
	r.ok(err)
	e.Policy.Retention.Chat = 3
	r.ok(r.store.UpdateExam(t.Context(), e))
	r.later(10 * time.Minute)
	ask := p.get("/checkin/" + id)
	r.contains(ask, "has changed since you last agreed")
	back := p.start(ask)
	r.contains(back, "You have agreed before")
	r.want("consents", len(r.session(id).Consents), 2)
	r.want("starts", len(l.Starts()), 1)
}
