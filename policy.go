package vigil

import (
	"encoding/json"
	"slices"
	"time"
)

// Watch names a group of signals that a browser may be asked to report. The notice
// that a student reads before the exam lists exactly the groups that are on.
type Watch string

// The groups.
const (
	WatchFocus      Watch = "focus"      // the page loses focus or is hidden
	WatchClipboard  Watch = "clipboard"  // copy, cut, paste: how many characters, never text nor a hash of it
	WatchFullscreen Watch = "fullscreen" // leaving or refusing full screen
	WatchDisplay    Watch = "display"    // more than one screen
	WatchWindow     Watch = "window"     // resizing, context menu, printing, developer tools
	WatchIdle       Watch = "idle"       // no input for long
)

// AllWatches lists the groups in the order in which they are shown.
var AllWatches = []Watch{WatchFocus, WatchClipboard, WatchFullscreen, WatchDisplay, WatchWindow, WatchIdle}

// LinkLoss says what is proposed for time that a student lost through their own
// connection.
type LinkLoss string

// The choices for LinkLoss. Our own outages are always given back in full.
const (
	LinkLossAsk   LinkLoss = "ask"   // propose it up to the cap; a proctor decides
	LinkLossNever LinkLoss = "never" // propose nothing
)

// Unwatched says what the platform does about a quiz page that nobody watches. It is the
// platform that does it (docs/receipts.md); we sign receipts where the policy names it.
type Unwatched string

// The choices for Unwatched.
const (
	UnwatchedNote Unwatched = "note" // it is noted
	UnwatchedAsk  Unwatched = "ask"  // the student reads what to do
	UnwatchedHold Unwatched = "hold" // the attempt is paused until it is watched again
)

// Retention says for how many days each class of data is kept.
type Retention struct {
	Signals  int `json:"signals"`
	Chat     int `json:"chat"`
	Sessions int `json:"sessions"`
	Audit    int `json:"audit"`
}

// Policy is what an exam's instructor decides. The zero value is not a policy: start
// from DefaultPolicy.
type Policy struct {
	Admission       bool      `json:"admission"`        // a proctor admits each student before the start
	Pause           bool      `json:"pause"`            // proctors may pause
	Fullscreen      bool      `json:"fullscreen"`       // the student is asked to stay in full screen
	Attention       float64   `json:"attention"`        // severity from which a signal is an incident, 0.1 to 1
	Watch           []Watch   `json:"watch"`            // what the browser reports; empty: nothing but the connection
	LinkLoss        LinkLoss  `json:"link_loss"`        // time lost through the student's own link
	LostTimeCap     int       `json:"lost_time_cap"`    // minutes that may be proposed in all, 0 to 240
	DurationMinutes int       `json:"duration_minutes"` // for platforms that report no end; 0: none
	EndMessage      bool      `json:"end_message"`      // ask the platform for LtiEndAssessment
	Retention       Retention `json:"retention"`
	Unwatched       Unwatched `json:"unwatched,omitempty"` // empty: the platform asks for no receipts
}

// DefaultPolicy is what an exam has whose instructor chose nothing.
func DefaultPolicy() Policy {
	return Policy{
		Pause:       true,
		Attention:   0.3,
		Watch:       slices.Clone(AllWatches),
		LinkLoss:    LinkLossAsk,
		LostTimeCap: 15,
		EndMessage:  true,
		Retention:   Retention{Signals: 90, Chat: 90, Sessions: 400, Audit: 400},
	}
}

// Validate reports the first field that is out of its range, as CodeInvalid.
func (p Policy) Validate() error {
	switch {
	case !(p.Attention >= 0.1 && p.Attention <= 1):
		return Invalid("attention", "The attention threshold must lie between 0.1 and 1.")
	case p.LinkLoss != LinkLossAsk && p.LinkLoss != LinkLossNever:
		return Invalid("link_loss", "Lost time must be %q or %q.", LinkLossAsk, LinkLossNever)
	case p.LostTimeCap < 0 || p.LostTimeCap > 240:
		return Invalid("lost_time_cap", "The cap on lost time must lie between 0 and 240 minutes.")
	case p.DurationMinutes < 0 || p.DurationMinutes > 7*24*60:
		return Invalid("duration_minutes", "The duration must lie between 0 and 10080 minutes.")
	}
	switch p.Unwatched {
	case "", UnwatchedNote, UnwatchedAsk, UnwatchedHold:
	default:
		return Invalid("unwatched", "What is done about an unwatched page must be %q, %q or %q.", UnwatchedNote, UnwatchedAsk, UnwatchedHold)
	}
	for i, w := range p.Watch {
		if !slices.Contains(AllWatches, w) || slices.Contains(p.Watch[:i], w) {
			return Invalid("watch", "What is watched must be a list of distinct groups; %q is not one.", string(w))
		}
	}
	for _, d := range []struct {
		field string
		days  int
	}{
		{"retention.signals", p.Retention.Signals},
		{"retention.chat", p.Retention.Chat},
		{"retention.sessions", p.Retention.Sessions},
		{"retention.audit", p.Retention.Audit},
	} {
		if d.days < 1 || d.days > 3650 {
			return Invalid(d.field, "Data is kept for 1 to 3650 days.")
		}
	}
	return nil
}

// Watches tells whether signals of the group are asked for.
func (p Policy) Watches(w Watch) bool { return slices.Contains(p.Watch, w) }

// Settings is what our Moodle plugin sends in the proctoring_settings claim's data
// (LTI Proctoring Services 1.0, section 4.1), as a JSON object:
//
//	{"vigil": 3, "policy": {...}, "attempt_started": 1790000000, "access_url": "https://…", "access": {...}}
//
// vigil is the version of what the plugin speaks (docs/assertion.md). A platform without
// the plugin sends something else or nothing.
type Settings struct {
	Plugin  int       // the version that our plugin speaks; 0: the platform's side is not our plugin
	Policy  *Policy   // nil: none was sent
	Started time.Time // when the launched attempt began, by the platform's clock; zero: it did not, or was not said
	// AccessURL is where the platform answers who may see and do what; empty: it does not.
	AccessURL string
	Access    *Access // of the person who launches (ParseAccess); nil: none was sent
}

// PluginVersion is the version that this program speaks with our plugin.
const PluginVersion = 3

// maxSeconds is a moment far beyond any exam.
const maxSeconds = 1 << 40

// ParseSettings reads proctoring_settings data. Data that is not ours is not an error:
// the claim's content is the platform's own affair. Data that claims to be ours and
// holds a bad policy is CodeInvalid. Fields that the policy leaves out keep their
// defaults.
func ParseSettings(data string) (Settings, error) {
	var raw struct {
		Vigil   int             `json:"vigil"`
		Policy  json.RawMessage `json:"policy"`
		Started int64           `json:"attempt_started"` // seconds
		URL     string          `json:"access_url"`
		Access  json.RawMessage `json:"access"`
	}
	if data == "" || json.Unmarshal([]byte(data), &raw) != nil || raw.Vigil < 1 {
		return Settings{}, nil //nolint:nilerr // what is not ours may be anything
	}
	s := Settings{Plugin: raw.Vigil}
	if raw.Started > 0 && raw.Started < maxSeconds {
		s.Started = time.Unix(raw.Started, 0).UTC()
	}
	s.AccessURL = raw.URL
	if len(raw.Access) > 0 && string(raw.Access) != "null" {
		a, err := ParseAccess(raw.Access)
		if err != nil {
			return Settings{}, err
		}
		s.Access = &a
	}
	if len(raw.Policy) == 0 || string(raw.Policy) == "null" {
		return s, nil
	}
	p := DefaultPolicy()
	if err := json.Unmarshal(raw.Policy, &p); err != nil {
		return Settings{}, &Error{Code: CodeInvalid, Field: "policy", Message: "The quiz sent a proctoring policy that cannot be read.", Err: err}
	}
	if err := p.Validate(); err != nil {
		return Settings{}, err
	}
	s.Policy = &p
	return s, nil
}

// Propose says how much of a finished gap the policy would give back, before the cap
// on the sum: our own outages and the platform's in full, open gaps nothing, the student's
// own link and what is unclear as LinkLoss says. Time in which the clock stood was not lost.
func (p Policy) Propose(g Gap) time.Duration {
	if g.End.IsZero() || !g.End.After(g.Start) {
		return 0
	}
	lost := max(0, g.End.Sub(g.Start)-g.Paused)
	switch g.Cause {
	case CauseServer, CauseLMS:
		return lost
	case CauseStudent, CauseUnclear:
		if p.LinkLoss == LinkLossAsk {
			return min(lost, time.Duration(p.LostTimeCap)*time.Minute)
		}
	}
	return 0
}
