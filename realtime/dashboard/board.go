package dashboard

import (
	"context"
	"slices"
	"sync/atomic"

	"vigil"
	"vigil/realtime/internal/lockorder"
	"vigil/realtime/protocol"
)

// Board is an exam's dashboards on this node, and what they were told of the exam and of its students'
// groups. All methods may be called at the same time.
type Board struct {
	env  *Env
	exam string

	known    atomic.Pointer[vigil.Exam]
	proctors atomic.Pointer[[]*proctor] // replaced, never changed
	away     atomic.Bool                // the relay does not bring everything

	// Order is held for reading while one row's change is made and queued, and for
	// writing while a snapshot's page is: so no older row follows a newer one.
	Order lockorder.RWMutex[lockorder.Rows]

	mu     lockorder.Mutex[lockorder.Room]
	groups map[string]Groups // by session: those that were read or told since the board is there
}

// NewBoard makes the board of an exam without dashboards.
func NewBoard(env *Env, exam vigil.Exam) *Board {
	b := &Board{env: env, exam: exam.ID, groups: map[string]Groups{}}
	b.known.Store(&exam)
	b.proctors.Store(&[]*proctor{})
	return b
}

// Exam is the newest version of the exam that was read.
func (b *Board) Exam() *vigil.Exam { return b.known.Load() }

// Policy is the exam's, as in Exam.
func (b *Board) Policy() vigil.Policy { return b.known.Load().Policy }

// Learn keeps the newest version of the exam that was read.
func (b *Board) Learn(e vigil.Exam) {
	for {
		old := b.known.Load()
		if old.Version > e.Version || b.known.CompareAndSwap(old, &e) {
			return
		}
	}
}

// Reload reads the exam again, whose settings may have changed.
func (b *Board) Reload(ctx context.Context) error {
	e, err := b.env.Store.Exam(ctx, b.exam)
	if err == nil {
		b.Learn(e)
	}
	return err
}

// Open counts the dashboards.
func (b *Board) Open() int { return len(*b.proctors.Load()) }

func (b *Board) add(p *proctor) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := *b.proctors.Load()
	if len(old) >= b.env.Proctors {
		return false
	}
	next := append(slices.Clone(old), p)
	b.proctors.Store(&next)
	return true
}

func (b *Board) remove(p *proctor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := slices.DeleteFunc(slices.Clone(*b.proctors.Load()), func(q *proctor) bool { return q == p })
	b.proctors.Store(&next)
}

// Publish gives a delta to the exam's dashboards on all nodes.
func (b *Board) Publish(d Delta) {
	b.Tell(d)
	b.env.Relay(b.exam, d)
}

// Pulse tells the dashboards here that they are connected.
func (b *Board) Pulse() {
	if b.Open() > 0 {
		b.Tell(pulse(b.env.Now()))
	}
}

// TellRelayed tells the deltas of another node. An error ends it: what follows cannot be read.
func (b *Board) TellRelayed(payload []byte) error {
	for list := payload[1:]; len(list) > 0; {
		d, rest, err := cutDelta(list)
		if err != nil {
			return err
		}
		b.Order.RLock() // no snapshot's page, which is older, follows it
		b.Tell(d)
		b.Order.RUnlock()
		list = rest
	}
	return nil
}

// SetAway notes whether what other nodes tell comes late or not at all, and tells the dashboards here
// where that is news.
func (b *Board) SetAway(away bool) (news bool) {
	if b.away.Swap(away) == away {
		return false
	}
	frame := protocol.Encode(protocol.Notice{T: protocol.TypeNotice, Kind: protocol.NoticeRelay, Over: !away})
	for _, p := range *b.proctors.Load() {
		p.Send(frame)
	}
	return true
}

// Away tells what SetAway noted.
func (b *Board) Away() bool { return b.away.Load() }

// Refresh has the dashboards here start afresh.
func (b *Board) Refresh() {
	for _, p := range *b.proctors.Load() {
		p.afresh()
	}
}

// Refreshing tells whether a dashboard here waits for a snapshot or gets one.
func (b *Board) Refreshing() bool {
	return slices.ContainsFunc(*b.proctors.Load(), (*proctor).asking)
}

// Tell gives a delta to the proctors on this node who may see it.
func (b *Board) Tell(d Delta) {
	proctors := *b.proctors.Load()
	limited := func(p *proctor) bool { return !p.access.Load().All }
	if d.Groups != nil || !d.ForAll && slices.ContainsFunc(proctors, limited) {
		b.tellSeen(d, proctors)
		return
	}
	for _, p := range proctors {
		p.push(d)
	}
}

// tellSeen is tell for what belongs to a student.
func (b *Board) tellSeen(d Delta, proctors []*proctor) {
	b.mu.Lock()
	before, known := b.groups[d.Session]
	now := before
	if d.Groups != nil && (!known || d.Groups.Version > before.Version) {
		now = *d.Groups
		b.groups[d.Session] = now
	}
	b.mu.Unlock()
	change := d.Groups != nil && !d.Created // of a row that dashboards may have
	known = known || d.Groups != nil
	for _, p := range proctors {
		access := p.access.Load()
		sees := access.Sees(now.List)
		switch {
		case access.All: // also what is not known
		case d.Session == "":
			continue
		case !known: // the snapshot that follows finds it out
			p.afresh()
			continue
		case change && sees != access.Sees(before.List): // the row comes or goes
			p.afresh()
			continue
		}
		if !sees {
			continue
		}
		if d.Frame != nil {
			p.push(d)
		}
		if d.Groups != nil && now.Version > 0 && (d.Created || !slices.Equal(access.Shown(before.List), access.Shown(now.List))) {
			row := protocol.Row{ID: d.Session, Group: protocol.GroupsOf(*access, now.Version, now.List)}
			p.push(rowDelta(groupsKey(d.Session, now.Version), row))
		}
	}
}

// newestGroups returns the newest groups of a session that are known: those that were read from the
// store, or newer ones. Where those are news to the dashboards here they are told, because the
// word of whoever stored them will find them known, or never come. Order must be held.
func (b *Board) newestGroups(s vigil.Session) Groups {
	b.mu.Lock()
	g, known := b.groups[s.ID]
	if !known {
		g = *groupsOf(s)
		b.groups[s.ID] = g
	}
	b.mu.Unlock()
	if s.GroupsVersion <= g.Version {
		return g
	}
	b.Tell(GroupsDelta(s))
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.groups[s.ID]
}

// Regroup tells the dashboards here of the groups of a session as it was read from the store, where they
// know older ones: who stored them may have died before it told anybody.
func (b *Board) Regroup(s vigil.Session) {
	b.mu.Lock()
	known, there := b.groups[s.ID]
	b.mu.Unlock()
	if there && known.Version < s.GroupsVersion {
		b.Order.RLock()
		b.Tell(GroupsDelta(s))
		b.Order.RUnlock()
	}
}
