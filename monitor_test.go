package vigil

import (
	"testing"
	"time"
)

func TestTotalsThatContradict(t *testing.T) {
	before := Totals{Visible: time.Minute, Hidden: 10 * time.Second, Focused: 30 * time.Second, Focuses: 2, Given: 5}
	for _, row := range []struct {
		name   string
		change func(t *Totals)
		hidden time.Duration
		want   bool
	}{
		{"the same", func(*Totals) {}, 0, false},
		{"later", func(t *Totals) { t.Visible += time.Minute; t.Focuses++; t.Given = 9 }, 0, false},
		{"visible goes back", func(t *Totals) { t.Visible-- }, 0, true},
		{"hidden goes back", func(t *Totals) { t.Hidden = 0 }, 0, true},
		{"focus goes back", func(t *Totals) { t.Focused = 0 }, 0, true},
		{"count goes back", func(t *Totals) { t.Focuses = 1 }, 0, true},
		{"numbers go back", func(t *Totals) { t.Given = 1 }, 0, true},
		{"hidden by signals and not by totals", func(t *Totals) { t.Visible += 2 * time.Minute }, 2 * time.Minute, true},
		{"hidden by both", func(t *Totals) { t.Hidden += 2 * time.Minute }, 2 * time.Minute, false},
		{"a nap between two clocks", func(*Totals) {}, 20 * time.Second, false},
	} {
		got := before
		row.change(&got)
		if c := got.Contradicts(before, row.hidden); c != row.want {
			t.Errorf("%s: got %v, want %v", row.name, c, row.want)
		}
	}
}

func TestTotalsOfManyPagesAddUp(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	one := Totals{Pages: 1, Visible: time.Minute, Focused: time.Minute, Focuses: 1, Given: 3}
	m := Monitor{}.Become(MonitorAnswers, now).Add(now, Totals{}, one, true)
	later := Totals{Visible: 2 * time.Minute, Focused: 90 * time.Second, Focuses: 2, Given: 4}
	m = m.Add(now.Add(time.Minute), one, later, false)
	m = m.Add(now.Add(2*time.Minute), Totals{}, Totals{Pages: 2, Hidden: time.Minute, Given: 4}, true)
	want := Monitor{
		State: MonitorAnswers, Since: now, Heard: now.Add(2 * time.Minute), Pages: 2, Visible: 2 * time.Minute, Hidden: time.Minute,
		Focused: 90 * time.Second, Focuses: 2, Given: 4,
	}
	if m != want {
		t.Errorf("got %+v, want %+v", m, want)
	}
	// Another server has heard of the page before, and this one has not.
	m = m.Add(now.Add(3*time.Minute), Totals{}, Totals{Visible: time.Hour, Focused: time.Hour}, true)
	if got := m.Visible; got > 3*time.Minute+time.Second {
		t.Errorf("got %s visible, want no more than the minute since the last word on top", got)
	}
}
