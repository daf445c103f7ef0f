package outage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"vigil"
	"vigil/realtime/internal/instant"
	"vigil/realtime/internal/lists"
	"vigil/realtime/internal/lockorder"
	"vigil/realtime/protocol"
)

// Records keeps small records for a while; package storage states the contract of each method.
type Records interface {
	CreateRecord(ctx context.Context, r vigil.Record, now time.Time) error
	GetRecord(ctx context.Context, kind, key string, now time.Time) (vigil.Record, error)
}

// Refusals is whom this node turned away and what other nodes told of theirs. The zero value is ready; all
// methods may be called at the same time.
type Refusals struct {
	mu   lockorder.Mutex[lockorder.Leaf]
	here map[string][]vigil.Fault // by session, still to be stored
	news map[string]Times         // of here, not yet told to other nodes
	told map[string][]vigil.Fault // by other nodes, by session
	busy bool                     // some are being stored
}

const (
	maxSessions = 4096
	maxTimes    = 32  // of one session; the oldest are joined
	maxTold     = 200 // sessions in one message

	recordKind = "turned"
	recordKept = 24 * time.Hour
	maxRecords = 32 // of one session
)

// recordKey names the nth record of a session. Each server adds one after the last.
func recordKey(session string, n int) string { return fmt.Sprintf("%s/%d", session, n) }

// Add notes that this node refused a session's student.
func (r *Refusals) Add(session string, f vigil.Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.here == nil {
		r.here, r.news = map[string][]vigil.Fault{}, map[string]Times{}
	}
	if len(r.here) >= maxSessions && r.here[session] == nil || len(r.news) >= maxSessions && r.news[session] == nil {
		return
	}
	r.here[session] = join(append(r.here[session], f))
	r.news[session] = lists.Newest(append(r.news[session], [2]int64{protocol.Millis(f.From), protocol.Millis(f.To)}), maxTimes)
}

// join keeps to maxTimes, by joining the two oldest or, where they lie far apart, leaving
// out the oldest.
func join(list []vigil.Fault) []vigil.Fault {
	if len(list) <= maxTimes {
		return list
	}
	if list[1].From.Sub(list[0].To) <= turnedAway {
		list[1].From = instant.Earlier(list[0].From, list[1].From)
	}
	return slices.Delete(list, 0, 1)
}

// Untold returns what is to be told to the other nodes, in parts of a message each.
func (r *Refusals) Untold() []map[string]Times {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []map[string]Times
	for id, list := range r.news {
		if n := len(out); n == 0 || len(out[n-1]) >= maxTold {
			out = append(out, map[string]Times{})
		}
		out[len(out)-1][id] = list
	}
	clear(r.news)
	return out
}

// Hear notes what another node told of a session; false: that is known.
func (r *Refusals) Hear(session string, list Times) (news bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told == nil || len(r.told) >= maxSessions && r.told[session] == nil {
		r.told = map[string][]vigil.Fault{} // what is older is stored by now, most likely
	}
	for _, f := range list.faults() {
		if !slices.Contains(r.told[session], f) {
			r.told[session] = join(append(r.told[session], f))
			news = true
		}
	}
	return news
}

// Told are the stretches in which other nodes refused a session's student, as far as they told.
func (r *Refusals) Told(session string) []vigil.Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told[session])
}

// Pending counts the sessions of which something is to be stored.
func (r *Refusals) Pending() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.here)
	if r.busy {
		n++
	}
	return n
}

// Take returns what is to be stored now and makes the caller the one who does it. Of a full
// server it waits until a session is not turned away any more, so that it is one record.
func (r *Refusals) Take(now time.Time, full bool) map[string][]vigil.Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy {
		return nil
	}
	var out map[string][]vigil.Fault
	for id, list := range r.here {
		if full && len(list) < maxTimes && now.Sub(list[len(list)-1].To) <= turnedAway {
			continue
		}
		if out == nil {
			out = map[string][]vigil.Fault{}
		}
		out[id] = list
		delete(r.here, id)
	}
	r.busy = out != nil
	return out
}

// Stored ends what Take began: what was taken is stored, or given up.
func (r *Refusals) Stored() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy = false
}

// Times are stretches as they are stored and relayed, in ms.
type Times [][2]int64

func (t Times) faults() []vigil.Fault {
	out := make([]vigil.Fault, len(t))
	for i, f := range t {
		out[i] = vigil.Fault{From: protocol.Moment(f[0]), To: protocol.Moment(f[1]), Cause: vigil.CauseServer}
	}
	return out
}

// Record adds a record of when a session's student was refused, so that every server can read it.
func Record(ctx context.Context, store Records, now time.Time, session string, refused []vigil.Fault) error {
	var list Times
	for _, f := range refused {
		list = append(list, [2]int64{protocol.Millis(f.From), protocol.Millis(f.To)})
	}
	value := protocol.Encode(list)
	for n := range maxRecords {
		err := store.CreateRecord(ctx, vigil.Record{Kind: recordKind, Key: recordKey(session, n), Value: value, Expires: now.Add(recordKept)}, now)
		if !errors.Is(err, vigil.ErrExists) {
			return err
		}
	}
	return vigil.Errorf(vigil.CodeConflict, "There are %d records of that already.", maxRecords)
}

// Recorded reads when servers refused a session's student: with an error, as much of it as could be read.
func Recorded(ctx context.Context, store Records, now time.Time, session string) ([]vigil.Fault, error) {
	var refused []vigil.Fault
	for n := range maxRecords {
		r, err := store.GetRecord(ctx, recordKind, recordKey(session, n), now)
		if errors.Is(err, vigil.ErrNotFound) {
			break
		}
		if err != nil {
			return refused, err
		}
		var list Times
		if err := json.Unmarshal(r.Value, &list); err != nil {
			return refused, vigil.Wrap(err, vigil.CodeConflict, "The record of refused connections cannot be read.")
		}
		refused = append(refused, list.faults()...)
	}
	return refused, nil
}
