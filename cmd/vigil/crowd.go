package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"vigil"
	"vigil/cmd/internal/seat"
	"vigil/lti/ltitest/lms"
	"vigil/realtime/client"
)

// crowd is the demo's simulated students. They take the quiz until the demo stops, or
// until they are done.
type crowd struct {
	ctx  context.Context // ends when the demo stops
	tool string
	lms  *lms.LMS
	log  *slog.Logger
	work sync.WaitGroup
}

// maxCrowd bounds how many simulated students the demo holds at once.
const maxCrowd = 300

// crowdClient makes the requests of simulated students. Their connections are their own.
func crowdClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second}, Timeout: 30 * time.Second}
}

// takeSeat launches a user's attempt at the demo's quiz and passes the check-in.
func takeSeat(ctx context.Context, tool string, demo *lms.LMS, userID string, hc *http.Client) (*seat.Student, error) {
	launch, err := demo.Proctored(userID)
	if err != nil {
		return nil, err
	}
	return seat.Take(ctx, tool, demo.Platform(), launch, hc)
}

// add enrols n students and launches them one after the other; each then goes on by
// itself. It is lms.Config.AddSimulated.
func (c *crowd) add(ctx context.Context, n int) error {
	held := 0
	for _, u := range c.lms.Platform().Users() {
		if u.Simulated {
			held++
		}
	}
	if held+n > maxCrowd {
		return vigil.Errorf(vigil.CodeTooMany, "The demo holds at most %d simulated students.", maxCrowd)
	}
	for _, u := range c.lms.NewStudents(n) {
		if err := c.sit(ctx, u.ID); err != nil {
			return err
		}
	}
	return nil
}

// rejoin brings back those whose attempts an earlier run of the demo left open.
func (c *crowd) rejoin(ctx context.Context) {
	for _, u := range c.lms.Platform().Users() {
		if !u.Simulated || ctx.Err() != nil {
			continue
		}
		for _, a := range c.lms.Platform().Attempts(u.ID, lms.LinkID) {
			if !a.Open() {
				continue
			}
			if err := c.sit(ctx, u.ID); err != nil {
				c.log.WarnContext(ctx, "a simulated student did not come back", "error", err)
			}
		}
	}
}

// sit launches one student and lets them work.
func (c *crowd) sit(ctx context.Context, userID string) error {
	hc := crowdClient()
	s, err := takeSeat(ctx, c.tool, c.lms, userID, hc)
	if err != nil {
		return err
	}
	student, err := s.Dial(ctx, client.Config{Log: c.log, Page: 1})
	if err != nil {
		return err
	}
	c.work.Go(func() {
		defer hc.CloseIdleConnections()
		defer student.Close()
		if err := c.behave(c.ctx, student); err != nil && !errors.Is(err, context.Canceled) {
			c.log.InfoContext(c.ctx, "a simulated student left", "error", err)
		}
	})
	return nil
}

// wait returns when all students have left.
func (c *crowd) wait() { c.work.Wait() }

// act is something that a simulated student does now and then.
type act struct {
	weight int
	do     func(s *client.Student)
}

// acts are what students do, by how often. Most is harmless; a demo needs a little of
// everything.
var acts = []act{
	{30, func(s *client.Student) { s.Turn(1 + rand.IntN(3)) }},
	{14, func(s *client.Student) { s.Signal(vigil.KindBlur, spell(1, 8), nil) }},
	{10, func(s *client.Student) { s.Signal(vigil.KindCopy, 0, length(rand.IntN(120))) }},
	{8, func(s *client.Student) { s.Signal(vigil.KindHidden, spell(1, 4), nil) }},
	{5, func(s *client.Student) { s.Signal(vigil.KindResize, 0, json.RawMessage(`{"width":1200,"height":700}`)) }},
	{4, func(s *client.Student) { s.Signal(vigil.KindHidden, spell(6, 50), nil) }},
	{3, func(s *client.Student) { s.Signal(vigil.KindPaste, 0, length(200+rand.IntN(900))) }},
	{3, func(s *client.Student) { s.Cut() }},
	{2, func(s *client.Student) { s.Signal(vigil.KindFullscreenLeft, 0, nil) }},
	{2, func(s *client.Student) { s.Hand(true) }},
	{2, func(s *client.Student) { s.Hand(false) }},
	{2, func(s *client.Student) { s.Chat(phrases[rand.IntN(len(phrases))]) }},
	{1, func(s *client.Student) { s.Signal(vigil.KindDisplayAdded, 0, nil) }},
}

var phrases = []string{
	"May I use a calculator?", "Question 4 shows no picture for me.", "Is the time the same for everybody?", "I am back, my network was gone.",
}

// spell is a random duration between two numbers of seconds.
func spell(from, to int) time.Duration {
	return time.Duration(from)*time.Second + time.Duration(rand.Int64N(int64(to-from)*int64(time.Second)))
}

func length(n int) json.RawMessage {
	b, err := json.Marshal(map[string]int{"length": n})
	if err != nil { // a map of an int always marshals
		return nil
	}
	return b
}

// behave works on the quiz until the context or the attempt ends.
func (c *crowd) behave(ctx context.Context, s *client.Student) error {
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	s.Signal(vigil.KindCapabilities, 0, json.RawMessage(`{"visibility":true,"fullscreen":true,"clipboard":true,"displays":false,"storage":true,"mobile":false}`))
	for {
		t := time.NewTimer(spell(3, 20))
		select {
		case <-ctx.Done():
			t.Stop()
			s.Bye(vigil.ByeClosing)
			return ctx.Err()
		case <-s.Done():
			t.Stop()
			return s.Err()
		case <-t.C:
		}
		if s.State() != vigil.StateActive { // paused: nothing happens
			continue
		}
		pick := rand.IntN(total)
		for _, a := range acts {
			if pick -= a.weight; pick < 0 {
				a.do(s)
				break
			}
		}
	}
}
