package realtime

import (
	"context"
	"time"

	"vigil"
	"vigil/realtime/protocol"
)

// receiptRetry is when a receipt that could not be signed is tried again.
const receiptRetry = 5 * time.Second

// vouchLocked begins the receipts of a page whose stamp was just verified, or goes on with
// them on another socket of the page: without a break if nobody was lost.
func (st *student) vouchLocked(page Page, a arrival) {
	v := &vouched{
		receipt: Receipt{
			Issuer: page.Issuer, Client: page.Client, Deployment: page.Deployment, ResourceLink: page.ResourceLink,
			User: page.User, Attempt: page.Attempt, Nonce: page.Nonce, From: a.at,
		},
		asked: page.Receipts, epoch: a.epoch,
	}
	if old := st.vouched; old != nil {
		if a.epoch < old.epoch {
			return
		}
		if old.receipt.Nonce == page.Nonce && a.from.IsZero() && a.at.Sub(old.receipt.Until) < st.n.cfg.ReceiptEvery+st.n.cfg.Liveness.PingEvery {
			v.receipt.From = old.receipt.From
		}
	}
	st.vouched = v
}

// againLocked goes on with the receipts of the same page on another socket.
func (st *student) againLocked(a arrival) {
	if v := st.vouched; v != nil {
		r := v.receipt
		st.vouchLocked(Page{
			Issuer: r.Issuer, Client: r.Client, Deployment: r.Deployment, ResourceLink: r.ResourceLink, User: r.User, Attempt: r.Attempt, Nonce: r.Nonce,
			Receipts: v.asked,
		}, a)
	}
}

// sendReceipt signs a receipt of the page and sends it to the socket, if that owns the session
// and has the page, and the quiz asks for receipts. While the monitor leaves questions unanswered
// (alive.go) nothing vouches for the page.
func (sc *studentConn) sendReceipt(ctx context.Context) {
	st := sc.st
	now := sc.st.n.now()
	st.mu.Lock()
	v := st.vouched
	if v == nil || v.epoch != sc.epoch || st.owner != sc.Conn || st.life.state.Ended() {
		st.mu.Unlock()
		return
	}
	// It does not answer at the moment, or only the browser does, and not the page's monitor.
	if st.presence.Connection != vigil.ConnOnline || !sc.asking.can || st.unanswered+st.away > 0 {
		st.mu.Unlock()
		sc.receiptAt.Store(now.Add(min(receiptRetry, sc.st.n.cfg.ReceiptEvery)).UnixMilli())
		return
	}
	s := st.life.session()
	s.Presence = st.presence
	v.receipt.Until, v.receipt.Watched = now, s.WatchedFor(now)
	if v.receipt.From.After(now) { // the clock was set back
		v.receipt.From = now
	}
	r := v.receipt
	st.mu.Unlock()
	text, err := sc.st.n.cfg.Receipts.SignReceipt(ctx, r)
	if err != nil {
		if ctx.Err() == nil {
			sc.st.n.log.Warn("receipt not signed", "session", st.id, "error", err)
		}
		sc.receiptAt.Store(now.Add(receiptRetry).UnixMilli())
		return
	}
	sc.Send(protocol.Encode(protocol.ReceiptDown{T: protocol.TypeReceipt, Page: r.Nonce, Until: protocol.Millis(r.Until), Receipt: text}))
	sc.st.n.stats.receipts.Add(1)
}

// asksForReceipts tells whether the student's quiz does, by its page or by its policy.
func (st *student) asksForReceipts() bool {
	st.mu.Lock()
	asked := st.vouched != nil && st.vouched.asked
	st.mu.Unlock()
	return st.n.cfg.Receipts != nil && (asked || st.room.Policy().Unwatched != "")
}

// firstReceipt sends the page's first receipt on this socket, and sees to the further ones.
func (sc *studentConn) firstReceipt(ctx context.Context) {
	if !sc.st.asksForReceipts() {
		return
	}
	sc.receiptAt.Store(sc.st.n.now().Add(sc.st.n.cfg.ReceiptEvery).UnixMilli())
	sc.sendReceipt(ctx)
}

// nextReceipt sends a receipt when it is time for one. It is called about once per ping, and
// must not wait.
func (sc *studentConn) nextReceipt(now time.Time) {
	at := sc.receiptAt.Load()
	if at == 0 || now.Add(sc.st.n.cfg.Liveness.PingEvery/2).UnixMilli() < at {
		return
	}
	next := now.Add(sc.st.n.cfg.ReceiptEvery).UnixMilli()
	if sc.receiptAt.CompareAndSwap(at, next) && !sc.Do(2, sc.sendReceipt) {
		sc.receiptAt.CompareAndSwap(next, at) // the store is slow: at the next ping
	}
}
