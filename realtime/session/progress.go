package session

import (
	"context"

	"vigil"
)

// Advance moves a command's stage forward and tells the proctors.
func (u *Service) Advance(ctx context.Context, session, id string, to vigil.Stage) error {
	unlock, err := u.commandLocks.lock(ctx, session)
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
