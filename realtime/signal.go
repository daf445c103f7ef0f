package realtime

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"vigil"
	"vigil/realtime/internal/lists"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
)

// signal shows a signal to the proctors at once and hands it to the writer; the
// acknowledgement follows when it is stored.
func (sc *studentConn) signal(f *protocol.Up) {
	st := sc.st
	now := sc.st.n.now()
	switch high := max(sc.next, sc.high); {
	case f.Seq < high && sc.resent.Load() != 0:
		sc.resent.Store(now.UnixMilli())
	case f.Seq > high: // an outbox sends in order: those between were never sent, or were refused and come again
		sc.resent.Store(now.UnixMilli())
	}
	sc.high = max(sc.high, f.Seq+1)
	at, possible := vigil.PossibleTime(f.At)
	s := vigil.Signal{
		SessionID: st.id, ExamID: st.room.exam, Stream: sc.stream, Seq: f.Seq, Kind: vigil.Kind(f.Kind),
		At: at, Received: now, Data: f.Data,
	}
	s.Duration = vigil.PossibleDuration(f.Dur)
	if err := s.Validate(); err != nil {
		sc.drop(f, err)
		return
	}
	policy := st.room.Policy()
	if w := s.Kind.WatchOf(); w != "" && !policy.Watches(w) {
		sc.drop(f, vigil.Errorf(vigil.CodeForbidden, "This exam does not watch that."))
		return
	}
	s = s.Kept()
	s.Data = slices.Clone(s.Data)
	if s.Asleep() > 0 && sc.awake(f, s.Duration, now) {
		s = s.WithoutSleep()
	}

	st.mu.Lock()
	sc.signaled = now
	if st.life.state.Ended() {
		st.mu.Unlock()
		sc.drop(f, session.ErrEnded)
		return
	}
	s = s.Bounded(protocol.Moment(st.life.created))
	hid := s.At
	if !possible || s.Impossible(protocol.Moment(st.life.created)) {
		hid = now
	}
	s.Severity = s.Rate(st.hidesBeforeLocked(&s, hid))
	s.Incident = s.Severity >= policy.Attention
	taken := st.emitLocked(s, sc.Conn)
	if taken && s.Kind == vigil.KindHidden && s.Seq >= sc.next && sc.asking.doc != "" { // since its totals were told, at most
		sc.asking.hides += min(awake(s), max(0, now.Sub(sc.asking.from)-sc.asking.hides))
	}
	if taken && s.Kind == vigil.KindPageTurned && s.Seq >= sc.next { // not one that comes late
		st.turnLocked(s.Data)
	}
	st.mu.Unlock()
	if !taken {
		sc.PutOff = true
		sc.SendError(f, vigil.Errorf(vigil.CodeUnavailable, "Saving takes longer at the moment; this is sent again by itself."), time.Second)
	}
}

// drop refuses a signal for good. What is stored in its place says so: its number is
// missing rightly, whatever server is asked later. Of what the exam does not watch no more is
// kept than that.
func (sc *studentConn) drop(f *protocol.Up, err error) {
	st := sc.st
	st.mu.Lock()
	if f.Seq >= 1 && f.Seq <= vigil.MaxSeq && !st.life.state.Ended() {
		kind := f.Kind
		if !vigil.Kind(kind).Known() {
			kind = ""
		}
		s := st.ownSignal(vigil.KindRefused, sc.st.n.now(), refusedData(kind, err))
		s.Stream, s.Seq = sc.stream, f.Seq
		st.emitLocked(s, nil)
	}
	st.mu.Unlock()
	sc.SendError(f, err, 0)
}

// refusedData says what was refused for good, and why.
func refusedData(kind string, err error) json.RawMessage {
	data := map[string]string{"code": string(vigil.CodeOf(err))}
	if !errors.Is(err, vigil.ErrForbidden) {
		if kind != "" {
			data["kind"] = kind
		}
		if e, ok := errors.AsType[*vigil.Error](err); ok && e.Field != "" {
			data["field"] = e.Field
		}
	}
	return protocol.Encode(data)
}

// awake tells that the computer cannot have slept through an absence that was noticed just now: this
// connection is older, and has answered all pings since. It says nothing of what comes late.
func (sc *studentConn) awake(f *protocol.Up, lasted time.Duration, now time.Time) bool {
	live := sc.st.n.cfg.Liveness
	return f.Seq >= sc.next && !sc.PutOff && lasted > 5*live.PingEvery && sc.opened.Before(now.Add(-lasted))
}

// awake is how long an absence lasted while its computer was awake, by what the signal says: the
// clock of a page's totals may stand still while it sleeps.
func awake(s vigil.Signal) time.Duration {
	var d struct {
		Asleep int64 `json:"asleep"`
	}
	if json.Unmarshal(s.Data, &d) != nil || d.Asleep <= 0 {
		return s.Duration
	}
	return max(0, s.Duration-time.Duration(min(d.Asleep, s.Duration.Milliseconds()))*time.Millisecond)
}

// hidesBeforeLocked counts how often the page was hidden within the window before this
// signal, of this moment, which is then one of them. A resend counts once.
func (st *student) hidesBeforeLocked(s *vigil.Signal, at time.Time) int {
	if s.Kind != vigil.KindHidden {
		return 0
	}
	n, known := 0, false
	for _, h := range st.hides {
		if h.stream == s.Stream && h.seq == s.Seq {
			known = true
			continue
		}
		if d := at.Sub(h.at); d >= 0 && d < vigil.RepeatWindow {
			n++
		}
	}
	if !known {
		st.hides = lists.Newest(append(st.hides, hide{s.Stream, s.Seq, at}), maxHides)
	}
	return n
}

// turnLocked takes the page's number from a page_turned signal.
func (st *student) turnLocked(data json.RawMessage) {
	var d struct {
		Page float64 `json:"page"`
	}
	if json.Unmarshal(data, &d) != nil || d.Page < 1 || d.Page > maxPage || int(d.Page) == st.page {
		return
	}
	st.page = int(d.Page)
	st.tellPresenceLocked()
}
