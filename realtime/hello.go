package realtime

import (
	"context"
	"slices"
	"time"

	"vigil"
	"vigil/realtime/internal/lists"
	"vigil/realtime/protocol"
)

func (sc *studentConn) sayHello(f *protocol.Up) {
	switch {
	case !vigil.ValidStream(f.Stream):
		sc.SendError(f, vigil.Invalid("stream", "A stream id has 16 to %d letters, digits, - or _.", vigil.MaxStreamID), 0)
		return
	case f.Next < 1 || f.Next > vigil.MaxSeq+1:
		sc.SendError(f, vigil.Invalid("next", "Numbers run from 1 to 2^53-1."), 0)
		return
	case f.Page < 0 || f.Page > maxPage:
		sc.SendError(f, vigil.Invalid("page", "There is no such page."), 0)
		return
	case sc.stream != "" && sc.stream != f.Stream:
		sc.SendError(f, vigil.Errorf(vigil.CodeConflict, "A socket has one stream."), 0)
		return
	}
	st := sc.st
	now := sc.st.n.now()
	st.room.Order.RLock()
	st.mu.Lock()
	first := sc.stream == ""
	was, beside := st.presence, st.owner != nil && st.presence.Connection == vigil.ConnOnline
	switch {
	case first && !sc.mayOwnLocked():
		st.mu.Unlock()
		st.room.Order.RUnlock()
		sc.unclaimed()
		return
	case first && !sc.attachLocked(now):
		st.mu.Unlock()
		st.room.Order.RUnlock()
		sc.Refuse(vigil.Errorf(vigil.CodeConflict, "A newer connection has the attempt."))
		return
	}
	sc.stream, st.watched = f.Stream, f.Stream
	if f.Page > 0 && f.Page != st.page && st.owner == sc.Conn {
		st.page = f.Page
		st.tellPresenceLocked()
	}
	if first {
		sc.vouches = sc.reports(f)
		if st.owner == sc.Conn && sc.vouches && st.unanswered < missedMost { // else its first answer counts
			st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) { return p.Report(now), vigil.GapChange{} })
			st.watchesLocked()
		}
		sc.next = f.Next
		sc.again = f.Next == 1 && was.Connection != vigil.ConnNever && was.Connection != ""
		sc.asking = asking{can: slices.Contains(f.Can, capAlive), next: now.Add(sc.st.n.cfg.AliveEvery / 6), apart: beside}
		c := newcomer{Stream: f.Stream, Address: sc.Address(), Browser: sc.Browser()}
		st.judgeLocked(sc.epoch, c, now)
		if !slices.ContainsFunc(st.streams, func(s stream) bool { return s.id == f.Stream }) {
			st.streams = lists.Newest(append(st.streams, stream{id: f.Stream}), maxStreams)
		}
		sc.st.n.publish(st.room.exam, event{Kind: eventEpoch, Session: st.id, Epoch: sc.epoch, Claim: &c})
		sc.hello.Stop()
	}
	st.mu.Unlock()
	st.room.Order.RUnlock()
	if first {
		sc.Do(0, func(ctx context.Context) {
			if err := sc.welcome(ctx); err != nil {
				sc.Refuse(err)
			}
		})
	}
	if f.Stamp != "" && len(f.Stamp) <= maxStamp && sc.st.n.cfg.Pages != nil {
		stamp, a := f.Stamp, arrival{at: sc.arrived, from: sc.away, epoch: sc.epoch}
		sc.away = time.Time{}
		st.jobs.Add(sc.st.n.tasks, sc.st.n.cfg.Limits.Jobs, func(ctx context.Context) {
			if st.takeStamp(ctx, stamp, a) {
				sc.firstReceipt(ctx)
			}
		})
	}
	if first && f.Next > 1 {
		sc.resent.Store(now.UnixMilli())
	}
}

// reports tells whether a hello is the quiz page's monitor's, which reports what happens there. Where
// our plugin is not in the quiz page it is the monitor's window.
func (sc *studentConn) reports(f *protocol.Up) bool {
	return !sc.st.life.plugin || f.Page > 0 || f.Stamp != ""
}

// maxPage bounds the page number that a hello may tell.
const maxPage = 10_000
