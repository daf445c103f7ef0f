// Package seat takes simulated people through everything that a browser does before its
// socket: the launch from the LMS, the check-in, the exchange of an assertion for a
// token. All of it is real but the screen. The demo, the tests and the bench use it.
package seat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"vigil"
	"vigil/lti/ltitest"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
)

// maxAnswer bounds what is read of the token endpoints' answers.
const maxAnswer = 64 << 10

// CheckIn is a student who was launched and has not agreed yet.
type CheckIn struct {
	tool     string
	platform *ltitest.Platform
	launch   ltitest.Launch
	client   *http.Client
	browser  *ltitest.Browser
	form     ltitest.Form
}

// Launch launches a student's attempt (a StartProctoring) up to the check-in page. tool is
// the tool's URL without a trailing slash.
func Launch(ctx context.Context, tool string, p *ltitest.Platform, launch ltitest.Launch, hc *http.Client) (*CheckIn, error) {
	b := ltitest.NewBrowser(hc.Transport)
	b.SignIn(p, launch.UserID)
	page, err := b.Open(ctx, p.Begin(launch))
	if err != nil {
		return nil, err
	}
	form, ok := page.Form("checkin-form")
	if !ok {
		return nil, fmt.Errorf("no check-in at %s (status %d)", page.URL.Path, page.Status)
	}
	return &CheckIn{tool: tool, platform: p, launch: launch, client: hc, browser: b, form: form}, nil
}

// Agree passes the check-in: the student is in the attempt.
func (c *CheckIn) Agree(ctx context.Context) (*Student, error) {
	page, err := c.browser.Submit(ctx, c.form, url.Values{"consent": {"yes"}})
	if err != nil {
		return nil, err
	}
	attempt, ok := c.platform.FindAttempt(c.launch.UserID, c.launch.LinkID, c.launch.Attempt)
	if !ok {
		return nil, fmt.Errorf("the attempt did not start; the browser is at %s (status %d)", page.URL.Path, page.Status)
	}
	return &Student{Tool: c.tool, Platform: c.platform, Attempt: attempt, Client: c.client}, nil
}

// Student is a student who has passed the check-in.
type Student struct {
	Tool     string // the tool's URL
	Platform *ltitest.Platform
	Attempt  ltitest.Attempt
	Client   *http.Client
}

// Take is Launch and Agree.
func Take(ctx context.Context, tool string, p *ltitest.Platform, launch ltitest.Launch, hc *http.Client) (*Student, error) {
	c, err := Launch(ctx, tool, p, launch, hc)
	if err != nil {
		return nil, err
	}
	return c.Agree(ctx)
}

// Origin is that of the quiz pages.
func (s *Student) Origin() string { return vigil.Origin(s.Platform.Issuer()) }

// Token exchanges a fresh assertion for a socket token, as each quiz page does. It is a
// client.Config's TokenSource.
func (s *Student) Token(ctx context.Context) (client.Token, error) {
	attempt, ok := s.Platform.AttemptByID(s.Attempt.ID)
	if !ok {
		return client.Token{}, &client.Refusal{Duty: protocol.DutyStop, Err: errors.New("the attempt is gone")}
	}
	req, err := tokenRequest(ctx, s.Tool+"/api/v1/socket/token", s.Origin(), map[string]string{"assertion": s.Platform.Assertion(attempt)})
	if err != nil {
		return client.Token{}, err
	}
	return ask(s.Client, req)
}

// Stamp is the stamp of a quiz page that the platform serves now, in no time.
func (s *Student) Stamp() string {
	attempt, ok := s.Platform.AttemptByID(s.Attempt.ID)
	if !ok || !attempt.Open() {
		return ""
	}
	now := time.Now()
	return s.Platform.PageStamp(attempt, now, now)
}

// Dial opens the student's socket. cfg brings what else is wanted of the client.
func (s *Student) Dial(ctx context.Context, cfg client.Config) (*client.Student, error) {
	cfg.TokenSource, cfg.Origin, cfg.HTTPClient = s.Token, s.Origin(), s.Client
	if cfg.Stamp == nil {
		cfg.Stamp = s.Stamp
	}
	return client.Dial(ctx, cfg)
}

// Proctor is someone whose browser shows an exam's dashboard.
type Proctor struct {
	Tool   string
	Exam   string
	Client *http.Client // with the visit's cookie
}

// Open launches an instructor to an exam's dashboard.
func Open(ctx context.Context, tool string, p *ltitest.Platform, launch ltitest.Launch, hc *http.Client) (*Proctor, error) {
	b := ltitest.NewBrowser(hc.Transport)
	b.SignIn(p, launch.UserID)
	page, err := b.Open(ctx, p.Begin(launch))
	if err != nil {
		return nil, err
	}
	return At(tool, b, page)
}

// At is the proctor whose browser shows page; an error if that is no dashboard.
func At(tool string, b *ltitest.Browser, page *ltitest.Page) (*Proctor, error) {
	_, exam, ok := strings.Cut(page.URL.Path, "/dashboard/")
	if !ok || page.Status != http.StatusOK {
		return nil, fmt.Errorf("got %d at %s, want the dashboard", page.Status, page.URL)
	}
	return &Proctor{Tool: tool, Exam: exam, Client: b.Client}, nil
}

// Token gets a socket token as the dashboard's page does. It is a client.Config's
// TokenSource.
func (p *Proctor) Token(ctx context.Context) (client.Token, error) {
	req, err := tokenRequest(ctx, p.Tool+"/api/v1/socket/page-token", vigil.Origin(p.Tool), map[string]string{"exam": p.Exam})
	if err != nil {
		return client.Token{}, err
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return ask(p.Client, req)
}

func tokenRequest(ctx context.Context, address, origin string, body map[string]string) (*http.Request, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", origin)
	return req, nil
}

// ask gets a token, or the problem as a *client.Refusal.
func ask(hc *http.Client, req *http.Request) (client.Token, error) {
	res, err := hc.Do(req)
	if err != nil {
		return client.Token{}, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return client.Token{}, err
	}
	if res.StatusCode != http.StatusOK {
		var problem struct {
			Detail string        `json:"detail"`
			Duty   protocol.Duty `json:"duty"`
			Wait   int64         `json:"wait"`
		}
		if err := json.Unmarshal(answer, &problem); err != nil || problem.Duty == "" {
			return client.Token{}, fmt.Errorf("the token endpoint answered %d", res.StatusCode)
		}
		return client.Token{}, &client.Refusal{
			Duty: problem.Duty, Wait: time.Duration(problem.Wait) * time.Millisecond, Err: errors.New(problem.Detail),
		}
	}
	var t struct {
		Token   string `json:"token"`
		Expires int64  `json:"expires"`
		URL     string `json:"url"`
		Session string `json:"session"`
	}
	if err := json.Unmarshal(answer, &t); err != nil {
		return client.Token{}, err
	}
	return client.Token{Token: t.Token, URL: t.URL, Session: t.Session, Expires: time.UnixMilli(t.Expires)}, nil
}
