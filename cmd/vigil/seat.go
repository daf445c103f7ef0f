package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"vigil"
	"vigil/lti/ltitest"
	"vigil/lti/ltitest/lms"
	"vigil/realtime"
	"vigil/realtime/client"
)

// seat is a simulated student who has passed the check-in: everything but the browser's
// screen is real.
type seat struct {
	tool    string // the tool's URL
	demo    *lms.LMS
	attempt ltitest.Attempt
	client  *http.Client
}

// maxAnswer bounds what is read of the token endpoint's answer.
const maxAnswer = 64 << 10

// takeSeat launches a user's attempt and goes through the check-in as a browser would.
func takeSeat(ctx context.Context, tool string, demo *lms.LMS, userID string, client *http.Client) (*seat, error) {
	launch, err := demo.Proctored(userID)
	if err != nil {
		return nil, err
	}
	p := demo.Platform()
	b := ltitest.NewBrowser(client.Transport)
	b.SignIn(p, userID)
	page, err := b.Open(ctx, p.Begin(launch))
	if err != nil {
		return nil, err
	}
	form, ok := page.Form("checkin-form")
	if !ok {
		return nil, fmt.Errorf("no check-in at %s (status %d)", page.URL.Path, page.Status)
	}
	if page, err = b.Submit(ctx, form, url.Values{"consent": {"yes"}}); err != nil {
		return nil, err
	}
	attempt, ok := p.FindAttempt(userID, launch.LinkID, launch.Attempt)
	if !ok {
		return nil, fmt.Errorf("the attempt did not start; the browser is at %s (status %d)", page.URL.Path, page.Status)
	}
	return &seat{tool: tool, demo: demo, attempt: attempt, client: client}, nil
}

// token exchanges a fresh assertion for a socket token, as each quiz page does.
func (s *seat) token(ctx context.Context) (client.Token, error) {
	p := s.demo.Platform()
	attempt, ok := p.AttemptByID(s.attempt.ID)
	if !ok {
		return client.Token{}, &client.Refusal{Duty: realtime.DutyStop, Err: errors.New("the attempt is gone")}
	}
	body, err := json.Marshal(map[string]string{"assertion": p.Assertion(attempt)})
	if err != nil {
		return client.Token{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.tool+"/api/v1/socket/token", bytes.NewReader(body))
	if err != nil {
		return client.Token{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", vigil.Origin(p.Issuer()))
	res, err := s.client.Do(req)
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
			Duty   realtime.Duty `json:"duty"`
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

// connect opens the student's socket. cfg brings what else is wanted of the client.
func (s *seat) connect(ctx context.Context, cfg client.Config) (*client.Student, error) {
	cfg.TokenSource = s.token
	cfg.Origin = vigil.Origin(s.demo.Platform().Issuer())
	cfg.HTTPClient = s.client
	return client.Dial(ctx, cfg)
}
