package sqlite

import (
	"encoding/json"
	"fmt"
	"time"

	"vigil"
)

// ms is a time as it is stored: 0 is the zero time.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// timeOf is the time of a stored number.
func timeOf(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

// dms is a duration as it is stored.
func dms(d time.Duration) int64 { return d.Milliseconds() }

// timeInto scans a stored time.
type timeInto struct{ t *time.Time }

func (c timeInto) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T", v)
	}
	*c.t = timeOf(n)
	return nil
}

// durationInto scans a stored duration.
type durationInto struct{ d *time.Duration }

func (c durationInto) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a duration is stored as %T", v)
	}
	*c.d = time.Duration(n) * time.Millisecond
	return nil
}

// jsonInto scans a column that holds JSON.
type jsonInto struct{ v any }

func (c jsonInto) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("JSON is stored as %T", v)
	}
	return json.Unmarshal([]byte(s), c.v)
}

// listInto scans a JSON array of texts, or of what is named by JSON tags; an empty one is nil.
type listInto[T any] struct{ v *[]T }

func (c listInto[T]) Scan(v any) error {
	if err := (jsonInto{c.v}).Scan(v); err != nil {
		return err
	}
	if len(*c.v) == 0 {
		*c.v = nil
	}
	return nil
}

// toJSON is for values of ours that always have a JSON form.
func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("sqlite: %T has no JSON form: %v", v, err)) // a float that is no number: refused by every Validate
	}
	return string(b)
}

func listJSON[T any](v []T) string {
	if len(v) == 0 {
		return "[]"
	}
	return toJSON(v)
}

// grant is a grant as it is stored: milliseconds, like everything else.
type grant struct {
	CommandID string           `json:"command"`
	ID        string           `json:"id,omitempty"`
	Time      int64            `json:"time"`
	Taken     int64            `json:"taken,omitempty"`
	State     vigil.GrantState `json:"state"`
	At        int64            `json:"at"`
	Held      bool             `json:"held,omitempty"`
	Own       bool             `json:"own,omitempty"`
}

func grantsJSON(gs []vigil.Grant) string {
	out := make([]grant, len(gs))
	for i, g := range gs {
		out[i] = grant{
			CommandID: g.CommandID, ID: g.ID, Time: dms(g.Time), Taken: dms(g.Taken), State: g.State, At: ms(g.At), Held: g.Held, Own: g.Own,
		}
	}
	return toJSON(out)
}

// grantsInto scans a session's grants.
type grantsInto struct{ v *[]vigil.Grant }

func (c grantsInto) Scan(v any) error {
	var in []grant
	if err := (jsonInto{&in}).Scan(v); err != nil {
		return err
	}
	*c.v = nil
	for _, g := range in {
		*c.v = append(*c.v, vigil.Grant{
			CommandID: g.CommandID, ID: g.ID, Time: time.Duration(g.Time) * time.Millisecond, Taken: time.Duration(g.Taken) * time.Millisecond,
			State: g.State, At: timeOf(g.At), Held: g.Held, Own: g.Own,
		})
	}
	return nil
}

// pause is a finished pause as it is stored.
type pause struct {
	From     int64  `json:"from"`
	To       int64  `json:"to"`
	ID       string `json:"id,omitempty"`
	Answered int64  `json:"answered,omitempty"`
}

func pausesJSON(ps []vigil.Pause) string {
	out := make([]pause, len(ps))
	for i, p := range ps {
		out[i] = pause{From: ms(p.From), To: ms(p.To), ID: p.ID, Answered: ms(p.Answered)}
	}
	return toJSON(out)
}

// pausesInto scans a session's pauses.
type pausesInto struct{ v *[]vigil.Pause }

func (c pausesInto) Scan(v any) error {
	var in []pause
	if err := (jsonInto{&in}).Scan(v); err != nil {
		return err
	}
	*c.v = nil
	for _, p := range in {
		*c.v = append(*c.v, vigil.Pause{From: timeOf(p.From), To: timeOf(p.To), ID: p.ID, Answered: timeOf(p.Answered)})
	}
	return nil
}

// consent is a consent as it is stored.
type consent struct {
	Notice string `json:"notice"`
	At     int64  `json:"at"`
}

func consentsJSON(cs []vigil.Consent) string {
	out := make([]consent, len(cs))
	for i, c := range cs {
		out[i] = consent{Notice: c.Notice, At: ms(c.At)}
	}
	return toJSON(out)
}

// consentsInto scans a session's consents.
type consentsInto struct{ v *[]vigil.Consent }

func (c consentsInto) Scan(v any) error {
	var in []consent
	if err := (jsonInto{&in}).Scan(v); err != nil {
		return err
	}
	*c.v = nil
	for _, x := range in {
		*c.v = append(*c.v, vigil.Consent{Notice: x.Notice, At: timeOf(x.At)})
	}
	return nil
}

// monitor is how a session's monitor is kept: times and lengths in ms.
type monitor struct {
	State   vigil.MonitorState `json:"state,omitempty"`
	Since   int64              `json:"since,omitempty"`
	Heard   int64              `json:"heard,omitempty"`
	Pages   int64              `json:"pages,omitempty"`
	Visible int64              `json:"visible,omitempty"`
	Hidden  int64              `json:"hidden,omitempty"`
	Focused int64              `json:"focused,omitempty"`
	Focuses int64              `json:"focuses,omitempty"`
	Given   int64              `json:"given,omitempty"`
}

func monitorJSON(m vigil.Monitor) string {
	return toJSON(monitor{
		State: m.State, Since: ms(m.Since), Heard: ms(m.Heard), Pages: m.Pages, Visible: dms(m.Visible), Hidden: dms(m.Hidden),
		Focused: dms(m.Focused), Focuses: m.Focuses, Given: m.Given,
	})
}

// monitorInto scans a session's monitor.
type monitorInto struct{ v *vigil.Monitor }

func (c monitorInto) Scan(v any) error {
	var m monitor
	if err := (jsonInto{&m}).Scan(v); err != nil {
		return err
	}
	span := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	*c.v = vigil.Monitor{
		State: m.State, Since: timeOf(m.Since), Heard: timeOf(m.Heard), Pages: m.Pages, Visible: span(m.Visible), Hidden: span(m.Hidden),
		Focused: span(m.Focused), Focuses: m.Focuses, Given: m.Given,
	}
	return nil
}
