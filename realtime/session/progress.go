package session

import (
	"context"
	"hash/fnv"

	"vigil"
)

// Advance moves a command's stage forward and tells the proctors.
func (u *Service) Advance(ctx context.Context, session, id string, to vigil.Stage) error {
	unlock, err := u.lockCommands(ctx, session)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := u.cfg.Store.Command(ctx, session, id)
	if err != nil {
		return err
	}
	if !ForStudent(c) {
		if c.LMS.State == vigil.LMSWaiting { // told by another node that is about to store the answer
			return vigil.Errorf(vigil.CodeUnavailable, "This command is not in effect yet; try again.")
		}
		return vigil.Errorf(vigil.CodeNotFound, "There is no such command.")
	}
	if !to.After(c.Stage) {
		return nil
	}
	now := u.now()
	c.Stage = to
	if to == vigil.StageSeen {
		c.Seen = now
	} else {
		c.Delivered = now
	}
	err = u.cfg.Retry(ctx, "command", func(ctx context.Context) error { return u.cfg.Store.UpdateCommand(ctx, c) })
	if err != nil {
		return err
	}
	u.notify.ProgressChanged(c)
	return nil
}

// commandLocks keep two updates of one session's commands on this node apart: a command
// is stored whole, so the student's acknowledgement and the platform's answer must not
// cross. They are held while the store is waited for, so they are no mutexes: who waits can
// give up, and nothing else is waited for within but the store.
type commandLocks [64]chan struct{}

func newCommandLocks() (l commandLocks) {
	for i := range l {
		l[i] = make(chan struct{}, 1)
	}
	return l
}

func (u *Service) lockCommands(ctx context.Context, session string) (unlock func(), err error) {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(session)) // never fails
	lock := u.commandLocks[sum.Sum32()%uint32(len(u.commandLocks))]
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, nil
	case <-ctx.Done():
		return nil, vigil.Wrap(ctx.Err(), vigil.CodeUnavailable, "The attempt's other commands take long; try again.")
	}
}
