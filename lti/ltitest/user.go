package ltitest

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"vigil"
)

// cookieName carries the signed-in user. It is Lax for Moodle, as in browsers that are
// strict, and None for Open edX, which wants it with the tool's form post.
const cookieName = "ltitest_session"

// Users are the people of the platform.
func (p *Platform) Users() []User {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.users)
}

// AddUser enrols a person and gives them an id when they have none.
func (p *Platform) AddUser(u User) User {
	p.mu.Lock()
	if u.ID == "" {
		u.ID = fmt.Sprint(1000 + p.nextLocked())
	}
	if u.Role == "" {
		u.Role = Learner
	}
	p.users = append(p.users, u)
	p.mu.Unlock()
	p.changed()
	return u
}

// User finds a person.
func (p *Platform) User(id string) (User, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.users {
		if u.ID == id {
			return u, true
		}
	}
	return User{}, false
}

// Cookie signs a user in: the browser that holds it is theirs. There are no passwords.
func (p *Platform) Cookie(userID string) *http.Cookie {
	c := &http.Cookie{
		Name: cookieName, Value: url.QueryEscape(userID) + "." + p.mac(userID), Path: "/",
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(p.cfg.Issuer, "https:"),
	}
	if p.cfg.Like == OpenEdX {
		c.SameSite, c.Secure = http.SameSiteNoneMode, true
	}
	return c
}

func (p *Platform) mac(s string) string {
	p.mu.Lock()
	m := hmac.New(sha256.New, p.secret)
	p.mu.Unlock()
	m.Write([]byte(s))
	return b64.EncodeToString(m.Sum(nil))
}

// SignedIn tells whose browser sent a request.
func (p *Platform) SignedIn(r *http.Request) (User, bool) {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return User{}, false
	}
	escaped, mac, _ := strings.Cut(c.Value, ".")
	id, err := url.QueryUnescape(escaped)
	if err != nil || !hmac.Equal([]byte(mac), []byte(p.mac(id))) {
		return User{}, false
	}
	return p.User(id)
}

// requireUser is SignedIn, or an error for the person.
func (p *Platform) requireUser(r *http.Request) (User, error) {
	u, ok := p.SignedIn(r)
	if !ok {
		return u, vigil.Errorf(vigil.CodeUnauthorized, "You are not signed in to the LMS in this browser.")
	}
	return u, nil
}
