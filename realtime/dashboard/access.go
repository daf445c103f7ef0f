package dashboard

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

// Access is what somebody may see and do who comes with a token for the exam.
func (b *Board) Access(ctx context.Context, claims vigil.SocketClaims) (vigil.Access, error) {
	e := b.Exam()
	if !e.Access.Told() {
		return vigil.FullAccess(), nil
	}
	began := b.env.Now()
	a, err := b.env.Store.Access(ctx, e.ID, socket.SubjectUser(claims.Subject))
	b.env.Noted(began, err)
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

// ReadAccess reads the exam's access records and makes them count. Who has none any more, or
// may not watch, loses the socket. Nothing changes while the store does not answer.
func (b *Board) ReadAccess(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, accessWait)
	defer cancel()
	before := *b.proctors.Load() // who comes later was asked after it was read
	records := map[string]vigil.Access{}
	for a, err := range vigil.EachOf(ctx, b.env.Store.AccessOfExam, b.exam) {
		if err != nil {
			return err
		}
		records[a.UserID] = a
	}
	for _, p := range before {
		user := socket.SubjectUser(p.Claims().Subject)
		a, there := records[user]
		if !there { // a list may be a moment behind what was stored
			var err error
			if a, err = b.env.Store.Access(ctx, b.exam, user); err != nil && !errors.Is(err, vigil.ErrNotFound) {
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
