package session

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"vigil"
)

// deliverLoop works the queue to the platforms: at once when something was queued here,
// and by the clock for what other nodes left or what waits for another try. The store
// gives out one entry of a session at a time, so their order holds.
func (u *Service) deliverLoop() {
	if u.cfg.Controller == nil {
		return
	}
	tick := time.NewTicker(u.cfg.QueueEvery)
	defer tick.Stop()
	slots := make(chan struct{}, u.cfg.Limits.Deliveries)
	var busy sync.WaitGroup
	defer busy.Wait()
	for {
		select {
		case <-u.cfg.Tasks.Context().Done():
			return
		case <-u.queueWake:
		case <-tick.C:
		}
		u.workQueue(slots, &busy)
	}
}

// workQueue sends what is due, as far as there are slots. What is leased at the moment at which
// a drain begins is still sent, and Drain waits for it; those who come after send the rest.
func (u *Service) workQueue(slots chan struct{}, busy *sync.WaitGroup) {
	u.requests.Add(1)
	defer u.requests.Add(-1)
	for !u.cfg.Draining() {
		free := cap(slots) - len(slots)
		if free == 0 {
			return // whoever ends wakes the queue again
		}
		entries, err := u.cfg.Store.LeaseDeliveries(u.cfg.Tasks.Context(), u.cfg.Node, u.now(), free)
		if err != nil {
			if u.cfg.Tasks.Context().Err() == nil {
				u.cfg.Log.Warn("queue to the platforms not read", "error", err)
			}
			return
		}
		for _, d := range entries {
			slots <- struct{}{}
			u.requests.Add(1)
			busy.Go(func() {
				u.deliverOne(u.cfg.Tasks.Context(), d)
				u.requests.Add(-1)
				<-slots
				u.wakeQueue() // the session's next entry may go
			})
		}
		if len(entries) < free {
			return
		}
	}
}

// deliverOne makes one try and stores what came of it. When it cannot be stored, the
// lease ends by itself and the entry comes again, marked as sent.
func (u *Service) deliverOne(ctx context.Context, d vigil.Delivery) {
	ctx, cancel := context.WithTimeout(ctx, vigil.DeliveryLease*9/10)
	defer cancel()
	var err error
	ctx, end := u.cfg.Tracer.Begin(ctx, StepPlatform, d.SessionID, d.CommandID)
	defer func() { end(err) }()
	owner := d.LeaseOwner
	if owner == "" {
		owner = u.cfg.Node
	}
	s, err := u.cfg.Store.Session(ctx, d.SessionID)
	if err == nil {
		d, err = u.prepare(ctx, s, d, owner)
	}
	var refused string
	if err == nil {
		refused, err = u.outdated(ctx, s, d)
	}
	var result vigil.Result
	var took time.Duration // zero: it was not sent
	switch {
	case errors.Is(err, vigil.ErrNotFound):
		result = vigil.Result{State: vigil.LMSFailed, Problem: "The attempt was erased."}
	case err != nil:
		u.cfg.Log.Warn("a request to a platform waits: the store does not answer", "session", d.SessionID, "error", err)
		return
	case refused != "":
		result = vigil.Result{State: vigil.LMSRefused, Problem: refused}
	case d.Action == vigil.ActionUpdate && d.ExtraMinutes == 0: // the platform holds this time already
		result = vigil.Result{State: vigil.LMSAccepted}
	case !d.MaySend(s.Plugin):
		result = vigil.Result{
			State:   vigil.LMSUnknown,
			Problem: "Vigil was interrupted while it sent this. The platform may have given the time; look there before giving it again.",
		}
	default:
		u.deliveries.Add(1)
		began := time.Now()
		result = u.cfg.Controller.Control(ctx, s, d)
		took = max(1, time.Since(began))
	}
	settled, answer := d.Settle(result, s.Plugin, u.now())
	if took > 0 {
		u.cfg.Observer.Delivered(answer.State, took)
	}
	level := slog.LevelInfo
	switch answer.State {
	case vigil.LMSWaiting: // why is in the controller's line
		level = slog.LevelDebug
	case vigil.LMSFailed, vigil.LMSUnknown:
		level = slog.LevelWarn
	}
	u.cfg.Log.Log(ctx, level, "told a platform", "session", d.SessionID, "action", d.Action, "try", settled.Tries, "answer", answer.State)
	// What was answered must not be lost: the store is asked until the lease ends, and the
	// end of the node does not cut it short.
	store, cancelStore := context.WithTimeout(context.WithoutCancel(ctx), vigil.DeliveryLease/3)
	defer cancelStore()
	err = u.cfg.Retry(store, "answer", func(ctx context.Context) error { return u.Answered(ctx, settled, answer) })
	if err == nil {
		err = u.cfg.Retry(store, "queue", func(ctx context.Context) error { return u.cfg.Store.SaveDelivery(ctx, settled, owner) })
	}
	if err != nil {
		u.cfg.Log.Error("a platform's answer is not stored", "session", d.SessionID, "action", d.Action, "error", err)
	}
}

// outdated tells why a request is not for the attempt any more that a platform would do it to,
// which it knows by its number, or not for what became of it; empty: it is.
func (u *Service) outdated(ctx context.Context, s vigil.Session, d vigil.Delivery) (why string, err error) {
	if s.State.Ended() && s.Started.IsZero() {
		return "The attempt never began.", nil
	}
	if why := s.Overtaken(d); why != "" {
		return why, nil
	}
	newest, err := u.cfg.Store.SessionOfAttempt(ctx, s.ExamID, s.UserID, s.Attempt)
	if err == nil && newest.ID != s.ID {
		return "The number of this attempt is another one's by now.", nil
	}
	return "", err
}

// prepare computes an extension's minutes again. What will be sent is stored before it is
// sent: after a crash the same minutes are sent again, and counted.
func (u *Service) prepare(ctx context.Context, s vigil.Session, d vigil.Delivery, owner string) (vigil.Delivery, error) {
	p := s.Prepare(d)
	if p.ExtraMinutes == d.ExtraMinutes {
		return d, nil
	}
	return p, u.cfg.Store.SaveDelivery(ctx, p, owner)
}
