package realtime

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"vigil"
	"vigil/realtime/protocol"
	"vigil/realtime/socket"
)

// Who sees and does what (DESIGN 14). A proctor's access record is the store's, and is read again
// every Config.AccessEvery while there are dashboards of exams whose platform tells of it. What
// belongs to a student goes to those proctors only who see one of the student's groups.

// groupWord is a platform's word on a student's groups.
type groupWord struct {
	Version int64         `json:"v"`
	List    []vigil.Group `json:"l"`
}

// groupsOf is what a session knows of its student's groups; of version 0: nothing was told.
func groupsOf(s vigil.Session) *groupWord { return &groupWord{s.GroupsVersion, s.Groups} }

// frameRights says for each type of frame that a proctor may send which right it needs.
// Commands need what their kind says; a type that is not here is refused to everyone.
var frameRights = map[protocol.Type]vigil.Right{
	protocol.TypeSubscribe: vigil.RightWatch,
	protocol.TypeChat:      vigil.RightTalk,
	protocol.TypeSeen:      vigil.RightTalk,
	protocol.TypeLostTime:  vigil.RightTime,
	protocol.TypeTime:      vigil.RightWatch,
	protocol.TypeBye:       vigil.RightWatch,
}

// rightOf is what a frame needs; false: nothing is known of it, and what takes it refuses it.
func rightOf(f *protocol.Up) (vigil.Right, bool) {
	if f.T == protocol.TypeCommand {
		right := vigil.CommandKind(f.Kind).Right()
		return right, right != ""
	}
	right, ok := frameRights[f.T]
	return right, ok
}

// accessOf is what somebody may see and do who comes with a token for an exam.
func (h *Hub) accessOf(ctx context.Context, e vigil.Exam, claims socket.Claims) (vigil.Access, error) {
	if !e.Access.Told() {
		return vigil.FullAccess(), nil
	}
	began := h.now()
	a, err := h.store.Access(ctx, e.ID, socket.SubjectUser(claims.Subject))
	h.noteRead(began, err)
	switch {
	case errors.Is(err, vigil.ErrNotFound):
		return a, errNoRecord
	case err != nil:
		return a, err
	case a.Version < claims.Access: // the store has yet to learn of what the token names
		return a, vigil.Errorf(vigil.CodeUnavailable, "What you may do in this exam is not known yet; try again.")
	}
	return a, a.Allow(vigil.RightWatch)
}

var errNoRecord = vigil.Errorf(vigil.CodeForbidden, "Your learning platform has not said what you may do in this exam. Open it again from your course.")

// accessLoop reads again what the proctors here may see and do.
func (h *Hub) accessLoop() {
	t := time.NewTicker(h.cfg.AccessEvery)
	defer t.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-t.C:
		}
		for _, r := range h.allRooms() {
			if len(*r.proctors.Load()) == 0 {
				continue
			}
			if !r.known.Load().Access.Told() { // a server that stored that it is may have died before it told anybody
				if err := r.reload(h.ctx); err != nil || !r.known.Load().Access.Told() {
					continue
				}
			}
			if err := r.readAccess(h.ctx); err != nil && h.ctx.Err() == nil {
				h.log.Warn("what proctors may do cannot be read; trying again", "exam", r.exam, "error", err)
			}
		}
	}
}

// Watched are the exams that have dashboards here and whose platform says who may see and do
// what.
func (h *Hub) Watched() []vigil.Exam {
	var out []vigil.Exam
	for _, r := range h.allRooms() {
		if e := r.known.Load(); len(*r.proctors.Load()) > 0 && e.Access.Told() {
			out = append(out, *e)
		}
	}
	return out
}

// readAccess reads the exam's access records and makes them count. Who has none any more, or
// may not watch, loses the socket. Nothing changes while the store does not answer.
func (r *room) readAccess(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, accessWait)
	defer cancel()
	before := *r.proctors.Load() // who comes later was asked after it was read
	records := map[string]vigil.Access{}
	for page := (vigil.Page{}); ; {
		list, next, err := r.h.store.AccessOfExam(ctx, r.exam, page)
		if err != nil {
			return err
		}
		for _, a := range list {
			records[a.UserID] = a
		}
		if next == "" {
			break
		}
		page.After = next
	}
	for _, p := range before {
		user := socket.SubjectUser(p.Claims().Subject)
		a, there := records[user]
		if !there { // a list may be a moment behind what was stored
			var err error
			if a, err = r.h.store.Access(ctx, r.exam, user); err != nil && !errors.Is(err, vigil.ErrNotFound) {
				return err
			}
		}
		if a.Version == 0 || a.Version >= p.access.Load().Version { // 0: no record, so nothing is allowed
			p.setAccess(a)
		}
	}
	return nil
}

// accessWait bounds one reading of an exam's records.
const accessWait = 10 * time.Second

// setAccess makes an access record count for a dashboard that is open.
func (p *proctor) setAccess(a vigil.Access) {
	old := p.access.Swap(&a)
	if !a.May(vigil.RightWatch) {
		p.Close(protocol.CloseForbidden, "")
		return
	}
	if claims := p.Claims(); claims.Access != a.Version {
		next := *claims
		next.Access = a.Version
		p.ReplaceClaims(claims, &next) // a renewal at the same time names the older one
	}
	was, is := protocol.AccessOf(*old), protocol.AccessOf(a)
	seen := was.All != is.All || !maps.Equal(groupIDs(*old), groupIDs(a))
	if seen || !slices.Equal(was.Rights, is.Rights) { // of other groups it says nothing new but that
		p.Send(protocol.Encode(protocol.AccessDown{T: protocol.TypeAccess, AccessView: is}))
	}
	if seen {
		p.afresh()
	}
}

func groupIDs(a vigil.Access) map[string]bool {
	ids := make(map[string]bool, len(a.Groups))
	for _, g := range a.Groups {
		ids[g.ID] = true
	}
	return ids
}

// tell gives a delta to the proctors on this node who may see it.
func (r *room) tell(d delta) {
	proctors := *r.proctors.Load()
	limited := func(p *proctor) bool { return !p.access.Load().All }
	if d.groups != nil || !d.forAll && slices.ContainsFunc(proctors, limited) {
		r.tellSeen(d, proctors)
		return
	}
	for _, p := range proctors {
		p.push(d)
	}
}

// tellSeen is tell for what belongs to a student.
func (r *room) tellSeen(d delta, proctors []*proctor) {
	r.mu.Lock()
	before, known := r.groups[d.session]
	now := before
	if d.groups != nil && (!known || d.groups.Version > before.Version) {
		now = *d.groups
		r.groups[d.session] = now
	}
	r.mu.Unlock()
	change := d.groups != nil && !d.created // of a row that dashboards may have
	known = known || d.groups != nil
	for _, p := range proctors {
		access := p.access.Load()
		sees := access.Sees(now.List)
		switch {
		case access.All: // also what is not known
		case d.session == "":
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
		if d.frame != nil {
			p.push(d)
		}
		if d.groups != nil && now.Version > 0 && (d.created || !slices.Equal(access.Shown(before.List), access.Shown(now.List))) {
			row := protocol.Row{ID: d.session, Group: protocol.GroupsOf(*access, now.Version, now.List)}
			p.push(delta{session: d.session, key: groupsKey(d.session, now.Version), frame: protocol.Encode(protocol.SessionDelta{T: protocol.TypeSession, Row: row})})
		}
	}
}

// newestGroups returns the newest groups of a session that are known: those that were read from the
// store, or newer ones. Where those are news to the dashboards here they are told, because the
// word of whoever stored them will find them known, or never come. order must be held.
func (r *room) newestGroups(s vigil.Session) groupWord {
	r.mu.Lock()
	g, known := r.groups[s.ID]
	if !known {
		g = *groupsOf(s)
		r.groups[s.ID] = g
	}
	r.mu.Unlock()
	if s.GroupsVersion <= g.Version {
		return g
	}
	r.tell(delta{session: s.ID, groups: groupsOf(s)})
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.groups[s.ID]
}

// learnGroups reads the groups of all students of the exam, so that what is told from then on
// can be given to those who see only some.
func (r *room) learnGroups(ctx context.Context) error {
	for page := (vigil.Page{}); ; {
		sessions, next, err := r.h.store.SessionsOfExam(ctx, r.exam, page)
		if err != nil {
			return err
		}
		r.order.RLock()
		for _, s := range sessions {
			r.newestGroups(s)
		}
		r.order.RUnlock()
		if next == "" {
			return nil
		}
		page.After = next
	}
}

// Regrouped stores a platform's word on the groups of a session's student, and tells it to the
// dashboards: rows come and go. A word that is not newer than the stored one changes nothing.
// One of a version that is not of our time is CodeInvalid: it would count for ever.
func (h *Hub) Regrouped(ctx context.Context, sessionID string, groups []vigil.Group, version int64) error {
	if err := vigil.CheckAccessVersion(version, h.now()); err != nil {
		return err
	}
	began := h.now()
	err := h.store.SetGroups(ctx, sessionID, groups, version)
	h.noteStore(began, err)
	if err == nil || errors.Is(err, vigil.ErrConflict) {
		// Also what was stored before is told: whoever stored it may not have heard that, and told nobody.
		err = h.tellGroups(ctx, sessionID)
	}
	if err != nil && vigil.Transient(err) { // it may be stored all the same
		h.tasks.Go(func() {
			err := h.reread(h.ctx, "groups", func(ctx context.Context) error { return h.tellGroups(ctx, sessionID) })
			if err != nil && h.ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
				h.log.Error("a student's groups are not told", "session", sessionID, "error", err)
			}
		})
	}
	return err
}

// tellGroups tells a student's groups as they are stored.
func (h *Hub) tellGroups(ctx context.Context, sessionID string) error {
	s, err := h.store.Session(ctx, sessionID)
	if err != nil {
		return err
	}
	if room := h.lookup(s.ExamID); room != nil {
		room.order.RLock()
		defer room.order.RUnlock()
	}
	h.toProctors(s.ExamID, delta{session: s.ID, groups: groupsOf(s)})
	return nil
}

// Grouped tells the dashboards here of the groups of these sessions, as they were read from the
// store, where they know older ones: who stored them may have died before it told anybody.
func (h *Hub) Grouped(sessions []vigil.Session) {
	for _, s := range sessions {
		r := h.lookup(s.ExamID)
		if r == nil {
			continue
		}
		r.mu.Lock()
		known, there := r.groups[s.ID]
		r.mu.Unlock()
		if there && known.Version < s.GroupsVersion {
			r.order.RLock()
			r.tell(delta{session: s.ID, groups: groupsOf(s)})
			r.order.RUnlock()
		}
	}
}
