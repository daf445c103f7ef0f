package vigil

import "time"

// MonitorState says whether the monitor in a student's page answers when it is asked. It is an
// axis of its own beside Connection: a browser answers pings whatever became of the page.
type MonitorState string

// The states.
const (
	MonitorUnknown     MonitorState = ""            // nothing was asked yet
	MonitorAnswers     MonitorState = "answers"     //
	MonitorUnsupported MonitorState = "unsupported" // an older one, which cannot be asked
	MonitorSilent      MonitorState = "silent"      // the page is shown, and the monitor does not answer
	MonitorAway        MonitorState = "away"        // the page was hidden last, and does not answer: browsers stop such pages
	MonitorAltered     MonitorState = "altered"     // what it says contradicts what it sent
)

// Monitor is what is known of a student's monitor. It is kept beside the session and does not
// take part in its version, as the tally. Which keys were pressed, or how many, is no part of it.
type Monitor struct {
	State   MonitorState
	Since   time.Time // when it took this state
	Heard   time.Time // when it last answered; zero: never
	Pages   int64     // that a window has shown of the attempt
	Visible time.Duration
	Hidden  time.Duration
	Focused time.Duration // of the visible time
	Focuses int64         // times that a page got the focus
	Given   int64         // the highest number that a signal was given
}

// Totals are the running totals of one page, from its start on, as its monitor tells them.
type Totals struct {
	Pages   int64 // that its window has shown of the attempt
	Visible time.Duration
	Hidden  time.Duration
	Focused time.Duration
	Focuses int64
	Given   int64 // the highest number that a signal of the outbox was given, by any page
}

// totalsSlack is how far totals and signals may be apart: a computer that sleeps a little, clocks
// of different kinds.
const totalsSlack = 30 * time.Second

// Contradicts tells whether totals cannot follow others of the same page. hidden is how long the
// page was hidden meanwhile by its own signals.
func (t Totals) Contradicts(before Totals, hidden time.Duration) bool {
	return t.Pages < before.Pages || t.Visible < before.Visible || t.Hidden < before.Hidden || t.Focused < before.Focused || t.Focuses < before.Focuses ||
		t.Given < before.Given || t.Hidden-before.Hidden+totalsSlack < hidden
}

// Valid tells whether totals are possible at all.
func (t Totals) Valid() bool {
	for _, d := range []time.Duration{t.Visible, t.Hidden, t.Focused} {
		if d < 0 || d > MaxDuration {
			return false
		}
	}
	return t.Pages >= 0 && t.Pages <= MaxSeq && t.Focuses >= 0 && t.Focuses <= MaxSeq && t.Given >= 0 && t.Given <= MaxSeq && t.Focused <= t.Visible+t.Hidden+totalsSlack
}

// Add counts what a page has told since it told it last. A first word of a page of which earlier
// ones are not known here counts for no longer than the time since the last answer to anybody.
func (m Monitor) Add(now time.Time, before, t Totals, first bool) Monitor {
	visible, hidden, focused := t.Visible-before.Visible, t.Hidden-before.Hidden, t.Focused-before.Focused
	m.Pages = max(m.Pages, t.Pages)
	if most := now.Sub(m.Heard); first && !m.Heard.IsZero() && visible+hidden > most+totalsSlack {
		visible, hidden, focused = min(visible, max(0, most)), min(hidden, max(0, most-visible)), min(focused, max(0, most))
	}
	m.Visible += max(0, visible)
	m.Hidden += max(0, hidden)
	m.Focused += max(0, focused)
	m.Focuses += max(0, t.Focuses-before.Focuses)
	m.Given = max(m.Given, t.Given)
	m.Heard = now
	return m
}

// Become is the monitor in another state; the same one has the time it had. What contradicted
// itself stays altered for as long as it answers.
func (m Monitor) Become(state MonitorState, now time.Time) Monitor {
	if m.State == state || m.State == MonitorAltered && state == MonitorAnswers {
		return m
	}
	m.State, m.Since = state, now
	return m
}
