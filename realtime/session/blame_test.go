package session

import (
	"slices"
	"testing"
	"time"

	"vigil"
)

func TestARefusalExplainsTheRestOfItsAbsenceForAWhile(t *testing.T) {
	t0 := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	stretch := func(from, to int) vigil.Fault {
		return vigil.Fault{From: at(from), To: at(to), Cause: vigil.CauseServer}
	}
	away := stretch(100, 200)
	for _, row := range []struct {
		about  string
		turned vigil.Fault
		want   []vigil.Fault
	}{
		{"from the request on, not before it, and as long after it as a client may take", stretch(120, 122), []vigil.Fault{stretch(120, 152)}},
		{"until the student is back", stretch(190, 191), []vigil.Fault{stretch(190, 200)}},
		{"no absence that began after it", stretch(90, 99), nil},
		{"no absence that had ended", stretch(201, 202), nil},
	} {
		if got := during(away, []vigil.Fault{row.turned}, 30*time.Second); !slices.Equal(got, row.want) {
			t.Errorf("%s: got %v, want %v", row.about, got, row.want)
		}
	}
}

func TestPartsOfOneAbsenceAreOneAbsence(t *testing.T) {
	t0 := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	gaps := []vigil.Gap{{ID: "a", Start: at(0), End: at(40)}, {ID: "a.40", Start: at(40), End: at(60)}, {ID: "b", Start: at(100), End: at(110)}}
	for _, g := range gaps[:2] {
		if got := absence(gaps, g); !got.From.Equal(at(0)) || !got.To.Equal(at(60)) {
			t.Errorf("of %s: got %v, want from 0 to 60 s", g.ID, got)
		}
	}
}
