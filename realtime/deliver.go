package realtime

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"vigil"
)

// Controller sends one request to a session's platform (Assessment Control) and says what
// came of it. It must end with its context, and well within vigil.DeliveryLease.
type Controller interface {
	Control(ctx context.Context, s vigil.Session, d vigil.Delivery) vigil.Result
}

// wakeQueue says that there is something to send.
func (h *Hub) wakeQueue() {
	select {
	case h.queueWake <- struct{}{}:
	default:
	}
}

// deliverLoop works the queue to the platforms: at once when something was queued here,
// and by the clock for what other nodes left or what waits for another try. The store
// gives out one entry of a session at a time, so their order holds.
func (h *Hub) deliverLoop() {
	if h.cfg.Controller == nil {
		return
	}
	tick := time.NewTicker(h.cfg.QueueEvery)
	defer tick.Stop()
	slots := make(chan struct{}, h.cfg.Limits.Deliveries)
	var busy sync.WaitGroup
	defer busy.Wait()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-h.queueWake:
		case <-tick.C:
		}
		h.workQueue(slots, &busy)
	}
}

// workQueue sends what is due, as far as there are slots. What is leased at the moment at which
// a drain begins is still sent, and Drain waits for it; those who come after send the rest.
func (h *Hub) workQueue(slots chan struct{}, busy *sync.WaitGroup) {
	h.requests.Add(1)
	defer h.requests.Add(-1)
	for !h.draining.Load() {
		free := cap(slots) - len(slots)
		if free == 0 {
			return // whoever ends wakes the queue again
		}
		entries, err := h.store.LeaseDeliveries(h.ctx, h.boot, h.now(), free)
		if err != nil {
			if h.ctx.Err() == nil {
				h.log.Warn("queue to the platforms not read", "error", err)
			}
			return
		}
		for _, d := range entries {
			slots <- struct{}{}
			h.requests.Add(1)
			busy.Go(func() {
				h.deliverOne(h.ctx, d)
				h.requests.Add(-1)
				<-slots
				h.wakeQueue() // the session's next entry may go
			})
		}
		if len(entries) < free {
			return
		}
	}
}

// deliverOne makes one try and stores what came of it. When it cannot be stored, the
// lease ends by itself and the entry comes again, marked as sent.
func (h *Hub) deliverOne(ctx context.Context, d vigil.Delivery) {
	ctx, cancel := context.WithTimeout(ctx, vigil.DeliveryLease*9/10)
	defer cancel()
	owner := d.LeaseOwner
	if owner == "" {
		owner = h.boot
	}
	s, err := h.store.Session(ctx, d.SessionID)
	if err == nil {
		d, err = h.prepare(ctx, s, d, owner)
	}
	var refused string
	if err == nil {
		refused, err = h.outdated(ctx, s, d)
	}
	var result vigil.Result
	switch {
	case errors.Is(err, vigil.ErrNotFound):
		result = vigil.Result{State: vigil.LMSFailed, Problem: "The attempt was erased."}
	case err != nil:
		h.log.Warn("a request to a platform waits: the store does not answer", "session", d.SessionID, "error", err)
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
		h.stats.deliveries.Add(1)
		result = h.cfg.Controller.Control(ctx, s, d)
	}
	settled, answer := d.Settle(result, s.Plugin, h.now())
	level := slog.LevelInfo
	switch answer.State {
	case vigil.LMSWaiting: // why is in the controller's line
		level = slog.LevelDebug
	case vigil.LMSFailed, vigil.LMSUnknown:
		level = slog.LevelWarn
	}
	h.log.Log(ctx, level, "told a platform", "session", d.SessionID, "action", d.Action, "try", settled.Tries, "answer", answer.State)
	// What was answered must not be lost: the store is asked until the lease ends, and the
	// end of the hub does not cut it short.
	store, cancelStore := context.WithTimeout(context.WithoutCancel(ctx), vigil.DeliveryLease/3)
	defer cancelStore()
	err = h.retry(store, "answer", func(ctx context.Context) error { return h.Settled(ctx, settled, answer) })
	if err == nil {
		err = h.retry(store, "queue", func(ctx context.Context) error { return h.store.SaveDelivery(ctx, settled, owner) })
	}
	if err != nil {
		h.log.Error("a platform's answer is not stored", "session", d.SessionID, "action", d.Action, "error", err)
	}
}

// outdated tells why a request is not for the attempt any more that a platform would do it to,
// which it knows by its number, or not for what became of it; empty: it is.
func (h *Hub) outdated(ctx context.Context, s vigil.Session, d vigil.Delivery) (why string, err error) {
	if s.State.Ended() && s.Started.IsZero() {
		return "The attempt never began.", nil
	}
	if why := s.Overtaken(d); why != "" {
		return why, nil
	}
	newest, err := h.store.SessionOfAttempt(ctx, s.ExamID, s.UserID, s.Attempt)
	if err == nil && newest.ID != s.ID {
		return "The number of this attempt is another one's by now.", nil
	}
	return "", err
}

// prepare reckons an extension's minutes anew. What will be sent is stored before it is
// sent: after a crash the same minutes are sent again, and reckoned with.
func (h *Hub) prepare(ctx context.Context, s vigil.Session, d vigil.Delivery, owner string) (vigil.Delivery, error) {
	p := s.Prepare(d)
	if p.ExtraMinutes == d.ExtraMinutes {
		return d, nil
	}
	return p, h.store.SaveDelivery(ctx, p, owner)
}
