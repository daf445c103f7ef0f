package web_test

import (
	"testing"

	"vigil"
	"vigil/lti/ltitest"
)

func TestTheCheckInsTokenSaysWhetherItIsTheAttemptsBrowser(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{}`))
	guest := func(p *person, id string) vigil.Guest {
		t.Helper()
		token := p.call("POST", "/api/v1/socket/page-token", `{"session":"`+id+`"}`).json(r)["token"].(string)
		c, err := r.tool.VerifySocket(t.Context(), token)
		r.ok(err)
		return c.Guest
	}
	first := l.person(student)
	checkin := first.attempt(1)
	id := last(checkin)
	r.want("before the start", guest(first, id), vigil.GuestUnknown)
	first.start(checkin)
	r.want("where it began", guest(first, id), vigil.GuestSame)
	again := first.attempt(1)
	r.want("a second check-in there", guest(first, id), vigil.GuestSame)
	second := l.person(student)
	other := second.attempt(1)
	r.want("elsewhere", guest(second, id), vigil.GuestOther)
	second.start(other)
	r.want("where it goes on", guest(second, id), vigil.GuestSame)
	r.want("where it was before", guest(first, last(again)), vigil.GuestOther)
}

func TestWithoutThePluginTheMonitorWindowOwnsTheSession(t *testing.T) {
	r := newRig(t)
	p := r.lms(ltitest.Config{}).person(student)
	checkin := p.attempt(1)
	p.start(checkin)
	token := p.call("POST", "/api/v1/socket/page-token", `{"session":"`+last(checkin)+`"}`).json(r)["token"].(string)
	c, err := r.tool.VerifySocket(t.Context(), token)
	r.ok(err)
	r.want("guest", c.Guest, vigil.Guest(""))
}
