package vigil

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestReviewsTakeExactlyTheseSteps(t *testing.T) {
	allowed := map[[2]ReviewState]bool{
		{ReviewNone, ReviewPending}: true, {ReviewNone, ReviewCleared}: true, {ReviewNone, ReviewUpheld}: true,
		{ReviewPending, ReviewCleared}: true, {ReviewPending, ReviewUpheld}: true,
		{ReviewCleared, ReviewPending}: true,
		{ReviewUpheld, ReviewPending}:  true, {ReviewUpheld, ReviewAppealed}: true,
		{ReviewAppealed, ReviewOverturned}: true, {ReviewAppealed, ReviewUpheld}: true,
	}
	by := Actor{Role: RoleProctor, ID: "p|1"}
	for _, from := range ReviewStates {
		for _, to := range append([]ReviewState{"", "guilty"}, ReviewStates...) {
			i := Incident{ID: "i", Review: from, Note: "old"}
			out, err := i.Decide(to, by, " new ", t0)
			if !allowed[[2]ReviewState{from, to}] {
				if !errors.Is(err, ErrIllegal) || !reflect.DeepEqual(out, i) {
					t.Errorf("%s to %q: got %+v, %v, want no change and %s", from, to, out, err, CodeIllegal)
				}
				continue
			}
			want := Incident{ID: "i", Review: to, Reviewer: by, Note: "new", Reviewed: t0}
			if err != nil || !reflect.DeepEqual(out, want) {
				t.Errorf("%s to %s: got %+v, %v, want %+v", from, to, out, err, want)
			}
		}
	}
}

func TestReviewNotesAreChecked(t *testing.T) {
	for note, want := range map[string]string{
		"": "", " \n": "", "fine": "", strings.Repeat("x", MaxNote): "",
		strings.Repeat("x", MaxNote+1): "note", "a\x00": "note", "\xff": "note",
	} {
		i := Incident{Review: ReviewNone}
		out, err := i.Decide(ReviewCleared, Actor{}, note, t0)
		if got := fieldOf(err); got != want {
			t.Errorf("a note of %d bytes: got field %q, want %q", len(note), got, want)
		}
		if err != nil && !reflect.DeepEqual(out, i) {
			t.Errorf("a refused note changed the incident: %+v", out)
		}
	}
}

func TestIncidentOfKeepsTheServersTime(t *testing.T) {
	s := report(KindHidden)
	s.SessionID, s.ExamID, s.Severity, s.Duration, s.Received = "s", "e", 0.6, time.Minute, t0.Add(time.Hour)
	want := Incident{
		ID: "stream-0123456789/1", SessionID: "s", ExamID: "e", Kind: KindHidden, Severity: 0.6,
		At: t0.Add(time.Hour), Duration: time.Minute, Review: ReviewNone,
	}
	if got := IncidentOf(s); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
