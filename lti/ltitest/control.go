package ltitest

import (
	"encoding/json"
	"io"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"vigil"
)

// Control is an Assessment Control request as it came in (Proctoring Services 1.0, 4).
type Control struct {
	ClientID string
	Issuer   string // user.iss; may be empty
	UserID   string
	LinkID   string
	Attempt  int
	Action   string // pause, resume, terminate, update, flag
	Extra    int    // minutes
	Time     string // incident_time as it was written
	Severity float64
	Code     string
	Message  string
	Request  string // request_id: Vigil's own name for it; may be empty
	Applied  bool   // false when mischief kept it from being done
	Body     string // as it came
}

// Answer is the platform's to a control request.
type Answer struct {
	Status  Status
	Extra   int
	Verdict Verdict // what was done; platforms without our plugin do not say it
}

const maxControl = 64 << 10

var controlActions = []string{"flag", "pause", "resume", "terminate", "update"}

// Controls are the control requests that were well-formed and authorized, oldest first.
func (p *Platform) Controls() []Control {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.controls)
}

// parseControl reads a control request strictly. Open edX wants what the spec leaves
// open: a severity in a string, a time and a reason code.
func parseControl(body []byte, like Like) (Control, error) {
	var c Control
	m, err := decodeObject(body)
	if err != nil {
		return c, vigil.Wrap(err, vigil.CodeInvalid, "The request is not a JSON object.")
	}
	user, link := objectOf(m, "user"), objectOf(m, "resource_link")
	c = Control{
		Issuer: stringOf(user, "iss"), UserID: stringOf(user, "sub"), LinkID: stringOf(link, "id"), Action: stringOf(m, "action"),
		Time: stringOf(m, "incident_time"), Code: stringOf(m, "reason_code"), Message: stringOf(m, "reason_msg"), Body: string(body),
	}
	n, ok := integerOf(m, "attempt_number")
	if !ok || n < 1 || n > 1_000_000 {
		return c, vigil.Invalid("attempt_number", "attempt_number is not an integer from 1 to 1,000,000.")
	}
	c.Attempt = int(n)
	if v, there := m["extra_time"]; there && v != nil {
		n, ok := integerOf(m, "extra_time")
		if !ok || n < 0 || n > 24*60 {
			return c, vigil.Invalid("extra_time", "extra_time is not a number of minutes.")
		}
		c.Extra = int(n)
	}
	if v, there := m["request_id"]; there && like == Moodle {
		id, ok := v.(string)
		if n := utf8.RuneCountInString(id); !ok || n < 1 || n > 64 {
			return c, vigil.Invalid("request_id", "request_id is not a string of 1 to 64 characters.")
		}
		c.Request = id
	}
	severity := m["incident_severity"]
	if s, ok := severity.(string); ok {
		severity = json.Number(s)
	} else if severity != nil && like == OpenEdX {
		return c, vigil.Invalid("incident_severity", "incident_severity must be a string.")
	}
	if severity != nil {
		n, ok := severity.(json.Number)
		f, err := strconv.ParseFloat(string(n), 64)
		if !ok || err != nil || math.IsNaN(f) || f < 0 || f > 1 {
			return c, vigil.Invalid("incident_severity", "incident_severity is not from 0 to 1.")
		}
		c.Severity = f
	}
	switch {
	case c.UserID == "" || len(c.UserID) > 255:
		return c, vigil.Invalid("user.sub", "user.sub is missing.")
	case c.LinkID == "" || len(c.LinkID) > 255:
		return c, vigil.Invalid("resource_link.id", "resource_link.id is missing.")
	case !slices.Contains(controlActions, c.Action):
		return c, vigil.Invalid("action", "The action is unknown.")
	case like == OpenEdX && (c.Code == "" || severity == nil):
		return c, vigil.Invalid("reason_code", "incident_severity and reason_code are needed.")
	}
	if _, err := time.Parse(time.RFC3339Nano, c.Time); err != nil {
		return c, vigil.Wrap(err, vigil.CodeInvalid, "incident_time is not an ISO 8601 time.")
	}
	return c, nil
}

// serveControl is the Assessment Control endpoint.
func (p *Platform) serveControl(w http.ResponseWriter, r *http.Request) {
	answerMedia, wrong := MediaControl, http.StatusBadRequest
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	good := err == nil && (media == MediaControl || media == "application/json")
	if p.cfg.Like == OpenEdX {
		answerMedia, wrong = "application/json", http.StatusUnsupportedMediaType
		good = err == nil && media == "application/json"
	}
	refuse := func(status int, reason string) {
		p.cfg.Log.Info("test platform refuses a control request", "status", status, "reason", reason)
		writeJSON(w, status, "application/json", map[string]any{"status": status, "reason": reason})
	}
	if r.Method != http.MethodPost {
		refuse(http.StatusMethodNotAllowed, "POST only")
		return
	}
	if !good {
		refuse(wrong, "wrong media type")
		return
	}
	tool, ok := p.bearer(w, r, ScopeControl)
	if !ok {
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControl))
	if err != nil {
		refuse(http.StatusRequestEntityTooLarge, "too long")
		return
	}
	c, err := parseControl(body, p.cfg.Like)
	if err != nil {
		refuse(http.StatusBadRequest, messageOf(err))
		return
	}
	c.ClientID = tool.ClientID
	if c.Issuer != "" && c.Issuer != p.cfg.Issuer {
		refuse(http.StatusBadRequest, "user.iss is not this platform")
		return
	}
	m := p.mischiefNow()
	var fault Fault
	if m.Control != nil {
		fault = m.Control(c)
	}
	fails := fault.Status != 0 || fault.Drop
	c.Applied = !fails || fault.Apply
	answer, err := p.apply(c, fault.No)
	if fault.Wait != nil {
		select {
		case <-fault.Wait:
		case <-r.Context().Done():
			return
		case <-p.stop:
			return
		}
	}
	switch {
	case fault.Drop:
		panic(http.ErrAbortHandler)
	case fault.Status != 0:
		refuse(fault.Status, "mischief")
		return
	case err != nil:
		refuse(vigil.CodeOf(err).Status(), messageOf(err))
		return
	}
	out := map[string]any{"status": string(answer.Status), "extra_time": answer.Extra}
	switch {
	case p.cfg.Like == OpenEdX:
		out = map[string]any{"message": "ok"}
	case p.Plugin() >= 2 && c.Request != "":
		out["applied"] = answer.Verdict.Applied
		if answer.Verdict.Applied == vigil.AppliedNo {
			out["reason"] = answer.Verdict.Reason
		}
	case answer.Verdict.Reason == vigil.NoCannotReopen || answer.Verdict.Reason == vigil.NoOverride:
		refuse(http.StatusForbidden, string(answer.Verdict.Reason))
		return
	}
	if m.ControlAnswer != nil {
		m.ControlAnswer(out)
	}
	writeJSON(w, http.StatusOK, answerMedia, out)
}

// Apply records a control request and does it as ControlTable says.
func (p *Platform) Apply(c Control) (Answer, error) { return p.apply(c, "") }

func (p *Platform) apply(c Control, refused vigil.NoReason) (Answer, error) {
	now := p.cfg.Now()
	p.mu.Lock()
	p.controls = append(p.controls, c)
	if !c.Applied {
		p.mu.Unlock()
		return Answer{}, nil
	}
	a, at := p.standingLocked(c)
	if at == "" {
		p.mu.Unlock()
		return Answer{}, vigil.Errorf(vigil.CodeNotFound, "There is no such attempt.")
	}
	if p.cfg.Like == OpenEdX && c.Action != vigil.ActionTerminate {
		p.mu.Unlock()
		return Answer{}, vigil.Errorf(vigil.CodeInvalid, "Only terminate is done here.")
	}
	out := Answer{Status: None, Verdict: p.judgeLocked(c, a, at, refused, now)}
	if a != nil {
		out.Extra = a.Extra
		if at != Deleted {
			out.Status = a.Status
		}
	}
	p.mu.Unlock()
	p.changed()
	return out, nil
}

// standingLocked finds the attempt of a request and tells how it stands: not at all where
// the platform knows nothing of it.
func (p *Platform) standingLocked(c Control) (*Attempt, Condition) {
	a := p.findLocked(c.UserID, c.LinkID, c.Attempt)
	if a == nil || a.ClientID != c.ClientID {
		for _, s := range p.sessions {
			if s.UserID == c.UserID && s.LinkID == c.LinkID && s.Attempt == c.Attempt && s.ClientID == c.ClientID {
				return nil, NotBegun
			}
		}
		if a = p.deleted[attemptKey{c.ClientID, c.UserID, c.LinkID, c.Attempt}]; a != nil {
			return a, Deleted
		}
		return nil, ""
	}
	link, _ := p.linkLocked(a.LinkID)
	switch {
	case a.Status == Complete:
		return a, Over
	case a.Status == Terminated:
		return a, Stopped
	case link.Unproctored && p.Plugin() >= 2:
		return a, Unproctored
	case a.Status == Paused:
		return a, OnHold
	}
	return a, InProgress
}

// judgeLocked does what a request asks for, or says why not.
func (p *Platform) judgeLocked(c Control, a *Attempt, at Condition, refused vigil.NoReason, now time.Time) Verdict {
	key := c.Action + " " + c.Time
	if c.Request != "" && p.Plugin() >= 2 {
		key = "id " + c.Request
	}
	if a != nil && a.Incidents[key] {
		return stands
	}
	v := ControlTable[c.Action][at]
	switch {
	case v.Applied == vigil.AppliedNo:
		return v
	case v.Applied == vigil.AppliedNow && c.Action == vigil.ActionUpdate && c.Extra == 0:
		v = stands
	case v.Applied == vigil.AppliedNow:
		why := p.impossibleLocked(c, a)
		if refused != "" {
			why = refused
		}
		if why != "" {
			return refuses(why)
		}
		status := a.Status
		a.do(c, now)
		p.endedLocked(a, status)
	}
	if a.Incidents == nil {
		a.Incidents = map[string]bool{}
	}
	a.Incidents[key] = true
	if c.Request != "" && (c.Action == vigil.ActionUpdate || c.Action == vigil.ActionResume) {
		a.Requests = append(a.Requests, c.Request)
	}
	v.Or = ""
	return v
}

// impossibleLocked tells why something that the table allows cannot be done.
func (p *Platform) impossibleLocked(c Control, a *Attempt) vigil.NoReason {
	switch {
	case c.Action == vigil.ActionUpdate && a.Ends.IsZero() && p.Plugin() >= 2:
		return vigil.NoEnd
	case c.Action == vigil.ActionResume && a.Status == Terminated:
		for _, b := range p.attempts {
			if a.Marked || b.UserID == a.UserID && b.LinkID == a.LinkID && b.Number > a.Number {
				return vigil.NoCannotReopen
			}
		}
	}
	return ""
}

// do does what a request asks for, which its condition allows.
func (a *Attempt) do(c Control, now time.Time) {
	switch c.Action {
	case vigil.ActionPause:
		a.Status, a.PausedAt, a.Reason = Paused, now, c.Message
	case vigil.ActionResume:
		if a.Status == Terminated { // it was not the student's time since the end, nor since the pause before it
			if a.PausedAt.IsZero() {
				a.PausedAt = a.Ended
			}
			a.Status, a.Ended = Paused, time.Time{}
		}
		a.goOn(now)
	case vigil.ActionTerminate:
		a.Status, a.Ended, a.Reason = Terminated, now, c.Message
	case vigil.ActionUpdate:
		a.Extra += c.Extra
		if !a.Ends.IsZero() {
			a.Ends = a.Ends.Add(time.Duration(c.Extra) * time.Minute)
		}
	case vigil.ActionFlag:
		a.Flags = append(a.Flags, Flag{Time: c.Time, Severity: c.Severity, Code: c.Code, Message: c.Message})
	}
}
