package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"vigil"
	"vigil/lti"
)

type shy struct {
	*losingOnce
	watched bool
	asked   int
}

func (s *shy) Watched() []vigil.Exam {
	if s.watched {
		return []vigil.Exam{watchedExam}
	}
	return nil
}

func (s *shy) Access(ctx context.Context, p vigil.Platform, url string, users []string) (lti.AccessReport, error) {
	s.asked++
	return s.losingOnce.Access(ctx, p, url, users)
}

func TestWhoLeavesForAMomentIsAskedOf(t *testing.T) {
	now := time.Now()
	s := &shy{losingOnce: newLosing()}
	k := &accessAsker{store: s, hub: s, tool: s, now: func() time.Time { return now }, log: slog.New(slog.DiscardHandler)}
	end := now.Add(12 * time.Hour)
	open := time.Duration(0)
	for n := 0; now.Before(end); n++ {
		s.watched = n%29 != 28 // away at one look in 290 s
		if s.watched {
			open += accessLook
		}
		_ = k.run(t.Context())
		now = now.Add(accessLook)
	}
	t.Logf("a dashboard was open for %s of 12 h; questions: %d", open, s.asked)
	if s.asked == 0 {
		t.Error("never asked")
	}
}
