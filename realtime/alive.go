package realtime

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigil"
	"vigil/realtime/internal/lists"
	"vigil/realtime/protocol"
)

// A browser answers pings whatever becomes of the page. So the page's monitor is asked, too, once
// a minute, and answers with running totals from its message handler, which runs in hidden pages
// as well. No answer, or totals that contradict what came, is a monitor that is silent or altered.
// A page that was hidden last may have been stopped by its browser: that is absence. What was asked
// of one socket goes on with the next one: who turns pages quickly is asked as often as others.

// capAlive is what a hello's can lists of a monitor that can be asked.
const capAlive = "alive"

// monitorData is the data of a monitor_silent.
type monitorData struct {
	Missed int    `json:"missed,omitempty"`
	Why    string `json:"why,omitempty"` // silent, away, can; of what contradicts: totals, numbers, next
}

// ask asks the monitor when it is time, and judges that it has not answered. Called about once
// per ping.
func (sc *studentConn) ask(now time.Time) {
	st, a := sc.st, &sc.asking
	st.room.Order.RLock()
	defer st.room.Order.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.owner != sc.Conn || !st.life.state.Started() || st.life.state.Ended() {
		return
	}
	if st.presence.Connection != vigil.ConnOnline { // it does not even answer pings: that is its line
		a.open = time.Time{}
		return
	}
	if !a.can {
		newer := st.vouched != nil && st.vouched.epoch == sc.epoch && st.vouched.asked // the monitor that belongs to this page can
		if st.could || newer && !st.cannot {                                           // a note: a page of before an update, say
			st.could, st.cannot = false, true
			own := st.ownSignal(vigil.KindMonitorSilent, now, protocol.Encode(monitorData{Why: "can"}))
			own.Severity, own.Incident = 0, false
			st.emitLocked(own, nil)
		}
		st.monitorLocked(st.monitor.Become(vigil.MonitorUnsupported, now), now)
		return
	}
	st.could, st.cannot = true, false
	if !a.open.IsZero() && now.Sub(a.open)+st.askSpent >= sc.st.n.cfg.AliveWait {
		at := a.open
		a.open, st.askSpent = time.Time{}, 0
		sc.missedLocked(at, now)
	}
	if a.ready && a.open.IsZero() && !now.Before(a.next) {
		sc.askLocked(now)
	}
}

func (sc *studentConn) askLocked(now time.Time) {
	a := &sc.asking
	a.asked++
	a.open, a.next = now, now.Add(sc.st.n.cfg.AliveEvery)
	sc.st.askDue = a.next
	sc.Send(protocol.Encode(protocol.Alive{T: protocol.TypeAlive, ID: aliveID + strconv.FormatInt(a.asked, 10)}))
}

// mayAsk has the monitor asked from now on, behind the welcome: at once where that was due before,
// on a socket that is gone, and where what was asked there was not answered. A page that slept has
// answers to save as it wakes, and nothing vouches for it until it answers.
func (sc *studentConn) mayAsk() {
	st, now := sc.st, sc.st.n.now()
	st.mu.Lock()
	defer st.mu.Unlock()
	a := &sc.asking
	a.ready = true
	if st.askDue.IsZero() {
		st.askDue = a.next
	}
	due := st.unanswered+st.away > 0 || !st.askDue.IsZero() && !now.Before(st.askDue)
	if a.can && st.owner == sc.Conn && a.open.IsZero() && due && st.life.state.Started() && !st.life.state.Ended() {
		sc.askLocked(now)
	}
}

// leaveOpenLocked takes in that the session's connection goes and leaves a question unanswered. The
// time in which it was heard, and did not answer, counts; but for a moment, in which an answer
// may have been on its way. The next connection is asked at once. st.mu and room.order (for
// reading) are held.
func (sc *studentConn) leaveOpenLocked(now time.Time) {
	st, a := sc.st, &sc.asking
	if a.open.IsZero() {
		return
	}
	at, wait := a.open, sc.st.n.cfg.AliveWait
	a.open = time.Time{}
	st.askDue = now
	if a.hidden || st.life.state.Ended() {
		return
	}
	st.askSpent += max(0, st.presence.Heard.Sub(at)-wait/8)
	if st.askSpent >= wait {
		st.askSpent = 0
		sc.missedLocked(at, now)
	}
}

// aliveID begins the id of a question.
const aliveID = "alive-"

// missedLocked takes in that a question of a time was not answered. st.mu is held.
func (sc *studentConn) missedLocked(at, now time.Time) {
	st := sc.st
	if sc.asking.hidden {
		st.unanswered = 0
		if st.away++; st.away == missedMost {
			own := st.ownSignal(vigil.KindMonitorSilent, now, protocol.Encode(monitorData{Missed: missedMost, Why: "away"}))
			own.Severity, own.Incident = 0, false
			st.emitLocked(own, nil)
		}
		st.monitorLocked(st.monitor.Become(vigil.MonitorAway, at), now)
		return
	}
	st.unanswered++
	switch st.unanswered {
	case 1: // a note: who is busy for a moment misses one, too
		own := st.ownSignal(vigil.KindMonitorSilent, now, protocol.Encode(monitorData{Missed: 1}))
		own.Severity, own.Incident = 0, false
		st.emitLocked(own, nil)
		st.monitorLocked(st.monitor.Become(vigil.MonitorSilent, at), now)
	case missedMost:
		since := st.monitor.Since // of the first of them
		st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) {
			return p.Silent(st.life.session(), since), vigil.GapChange{}
		})
		st.emitLocked(st.ownSignal(vigil.KindMonitorSilent, now, protocol.Encode(monitorData{Missed: missedMost, Why: "silent"})), nil)
	}
}

// alteredLocked notes that what the monitor says contradicts what it sent: once for each outbox
// and reason, whatever node notes it. st.mu is held.
func (st *student) alteredLocked(stream, why string, now time.Time) {
	own := st.ownSignal(vigil.KindMonitorSilent, now, protocol.Encode(monitorData{Why: why}))
	own.Stream, own.Seq = vigil.ServerStreamPrefix+"monitor:"+why+":"+stream, 1
	st.emitLocked(own, nil)
	st.monitorLocked(st.monitor.Become(vigil.MonitorAltered, now), now)
}

// totalsOf reads what a monitor tells. An error is CodeInvalid.
func totalsOf(f *protocol.Up) (vigil.Totals, error) {
	if !vigil.ValidID(f.Doc) {
		return vigil.Totals{}, vigil.Invalid("doc", "A page's id has 8 to 64 letters, digits, - or _.")
	}
	most := vigil.MaxDuration.Milliseconds()
	for _, n := range []int64{f.Visible, f.Hidden, f.Focused} {
		if n < 0 || n > most { // multiplying could wrap around
			return vigil.Totals{}, vigil.Invalid("visible", "These totals are not possible.")
		}
	}
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	t := vigil.Totals{Pages: f.Pages, Visible: ms(f.Visible), Hidden: ms(f.Hidden), Focused: ms(f.Focused), Focuses: f.Focus, Given: f.Given}
	if !t.Valid() {
		return vigil.Totals{}, vigil.Invalid("visible", "These totals are not possible.")
	}
	return t, nil
}

var errNotAsked = vigil.Invalid("id", "Nothing of this id was asked.")

// alive takes a monitor's word: the answer to a question, or by itself that its page is hidden,
// shown or left.
func (sc *studentConn) alive(f *protocol.Up) {
	t, err := totalsOf(f)
	n := int64(0) // 0: it is no answer
	if rest, ok := strings.CutPrefix(f.ID, aliveID); ok {
		n, _ = strconv.ParseInt(rest, 10, 64)
	}
	if err == nil && f.ID != "" && n < 1 {
		err = errNotAsked
	}
	if err != nil {
		sc.SendError(f, err, 0)
		return
	}
	st, now := sc.st, sc.st.n.now()
	st.room.Order.RLock()
	defer st.room.Order.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	a := &sc.asking
	if st.owner != sc.Conn || !st.life.state.Started() || st.life.state.Ended() {
		return
	}
	if n > a.asked {
		sc.SendError(f, errNotAsked, 0)
		return
	}
	if n == a.asked && n > 0 {
		a.open, st.askSpent = time.Time{}, 0
	}
	if n > 0 || a.hidden && !f.Away { // an answer, however late, or one that is back
		if st.unanswered+st.away > 0 && sc.receiptAt.Load() != 0 { // nothing vouched for it, and its answers may come at once
			sc.Do(2, sc.sendReceipt)
		}
		st.unanswered, st.away = 0, 0
	}
	if n > 0 && sc.vouches && st.presence.Reports.IsZero() { // it was silent, and is watched again
		st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) { return p.Report(now), vigil.GapChange{} })
	}
	a.veiled = a.veiled || a.hidden || f.Away || t.Hidden != a.totals.Hidden
	a.hidden = f.Away
	var before vigil.Totals // of the page, as far as it is known here
	i := slices.IndexFunc(st.docs, func(p pageTotals) bool { return p.doc == f.Doc })
	if i >= 0 {
		before = st.docs[i].totals
		st.docs = slices.Delete(st.docs, i, i+1)
	}
	st.docs = lists.Newest(append(st.docs, pageTotals{f.Doc, t}), maxDocs)
	if a.doc != f.Doc {
		a.doc, a.base, a.from, a.hides, a.given, a.told, a.veiled = f.Doc, t, now, 0, 0, time.Time{}, f.Away
	} else {
		hides := a.hides
		if a.apart {
			hides = 0
		}
		switch {
		case t.Contradicts(a.totals, 0), t.Contradicts(a.base, hides), n > 0 && a.stands(t, now):
			st.alteredLocked(sc.stream, "totals", now)
			a.base, a.from, a.hides = t, now, 0
		case n > 0:
			sc.lookForGiven(a.given, now)
		}
	}
	a.totals = t
	if n > 0 {
		a.given, a.told, a.shown, a.veiled = t.Given, now, t.Visible, f.Away
	}
	if !st.life.plugin || !st.room.Policy().Watches(vigil.WatchFocus) { // of no quiz page, or what the exam does not watch: not kept
		before.Visible, before.Hidden, before.Focused, before.Focuses = t.Visible, t.Hidden, t.Focused, t.Focuses
	}
	state := st.monitor.State
	st.monitorLocked(st.monitor.Add(now, before, t, i < 0).Become(vigil.MonitorAnswers, now), now)
	if n > 0 && st.monitor.State == state {
		st.tellMonitorLocked() // its totals, once a minute
	}
}

// stands tells that the clock of a page which was shown all the while differs from ours since its last
// answer: that is an old answer said again, or a made-up one. While a page is hidden its computer
// may sleep, and answer pings.
func (a *asking) stands(t vigil.Totals, now time.Time) bool {
	return !a.told.IsZero() && !a.veiled && (t.Visible-a.shown-now.Sub(a.told)).Abs() > stoodStill
}

// lookForGiven looks whether what a monitor had given out at its last answer has come, where that
// is not known by the numbers that came. What is still on its way, or was refused for now, may be
// missing rightly. st.mu is held, in the read loop.
func (sc *studentConn) lookForGiven(given int64, now time.Time) {
	st := sc.st
	if given < max(sc.high, sc.next) || sc.PutOff || st.storing > 0 || now.Sub(sc.signaled) < sc.st.n.cfg.HoleWait {
		return
	}
	stream := sc.stream
	sc.Do(sc.st.n.cfg.Limits.Jobs, func(ctx context.Context) {
		count, _, err := sc.st.n.store.StreamState(ctx, st.id, stream)
		if err != nil || count >= given {
			return
		}
		if excused, err := st.restoredSince(ctx); err != nil || excused {
			return
		}
		st.alter(stream, "numbers")
	})
}

// lookAtNext looks whether a hello that begins at 1 is of a stream that has begun: an outbox never
// does that. Called before the welcome, which signals wait for.
func (sc *studentConn) lookAtNext(ctx context.Context) error {
	st := sc.st
	st.mu.Lock()
	look, stream := sc.again && sc.signaled.IsZero(), sc.stream
	st.mu.Unlock()
	if !look {
		return nil
	}
	_, highest, err := sc.st.n.store.StreamState(ctx, st.id, stream)
	if err != nil {
		return err
	}
	st.mu.Lock()
	look = sc.signaled.IsZero()
	st.mu.Unlock()
	if look && highest > 0 {
		st.alter(stream, "next")
	}
	return nil
}

func (st *student) alter(stream, why string) {
	st.room.Order.RLock()
	defer st.room.Order.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.alteredLocked(stream, why, st.n.now())
}
