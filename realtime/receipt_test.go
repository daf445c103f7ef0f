package realtime_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/protocol"
)

// receipts signs by remembering.
type receipts struct {
	mu   sync.Mutex
	list []realtime.Receipt
	err  error
}

func (s *receipts) SignReceipt(_ context.Context, r realtime.Receipt) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return "", s.err
	}
	s.list = append(s.list, r)
	return "signed:" + r.Nonce, nil
}

func (s *receipts) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// of are those of a page.
func (s *receipts) of(nonce string) []realtime.Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []realtime.Receipt
	for _, r := range s.list {
		if r.Nonce == nonce {
			list = append(list, r)
		}
	}
	return list
}

// asking is a rig whose exam asks for receipts, every 100 ms.
func asking(t *testing.T, u vigil.Unwatched, edits ...func(c *realtime.Config)) (*rig, *stamps, *receipts) {
	t.Helper()
	pages, signer := &stamps{}, &receipts{}
	fast := calm
	fast.PingEvery, fast.PongWait = 60*time.Millisecond, 50*time.Millisecond
	r := newRig(t, append([]func(c *realtime.Config){func(c *realtime.Config) {
		c.Pages, c.Receipts, c.Liveness, c.ReceiptEvery = pages, signer, fast, 100*time.Millisecond
	}}, edits...)...)
	r.exam.Policy.Unwatched = u
	r.ok(r.db.UpdateExam(r.ctx, r.exam))
	return r, pages, signer
}

// receipt waits for the next receipt on a socket.
func (w *wire) receipt() (d protocol.ReceiptDown) {
	w.r.Helper()
	w.next(protocol.TypeReceipt, &d)
	return d
}

func (p *stamps) of(s vigil.Session, nonce string) string {
	return p.print(s, nonce, func(page *realtime.Page) { page.Issuer, page.Client = platformOrigin, "client-1" })
}

func TestAPageThatSaysHelloGetsReceiptsOfItsOwn(t *testing.T) {
	t.Parallel()
	r, pages, signer := asking(t, vigil.UnwatchedNote)
	s := r.session(proctored)
	begin := time.Now()
	w := r.wire(studentClaims(s))
	w.write(asksHello(pages.of(s, "page-1")))
	first := w.receipt()
	if first.Page != "page-1" || first.Receipt != "signed:page-1" || first.Until < begin.UnixMilli() || first.Until > time.Now().UnixMilli() {
		t.Errorf("got %+v", first)
	}
	w.receipt()
	w.receipt()
	list := signer.of("page-1")
	for i, got := range list {
		want := realtime.Receipt{
			Issuer: platformOrigin, Client: "client-1", Deployment: s.DeploymentID, ResourceLink: s.ResourceLinkID, User: s.UserID, Attempt: s.Attempt, Nonce: "page-1",
			From: list[0].From, Until: got.Until, Watched: got.Watched,
		}
		if got != want || got.Watched > got.Until.Sub(begin)+time.Millisecond || i > 0 && (!got.Until.After(list[i-1].Until) || got.Watched <= list[i-1].Watched) {
			t.Errorf("receipt %d: got %+v, want %+v", i, got, want)
		}
	}
	// A page turn: the next page has receipts of its own, and the time counts on.
	w.write(`{"t":"bye","reason":"navigating"}`)
	_ = w.ws.CloseNow()
	last := signer.of("page-1")
	w = r.wire(studentClaims(s))
	w.write(asksHello(pages.of(s, "page-2")))
	if got := w.receipt(); got.Page != "page-2" {
		t.Errorf("got a receipt of %s on page 2", got.Page)
	}
	second := signer.of("page-2")[0]
	if second.From.Before(last[len(last)-1].Until) || second.Watched < last[len(last)-1].Watched {
		t.Errorf("got %+v after %+v", second, last[len(last)-1])
	}
	if n := r.hub.Stats().Receipts; n < 4 {
		t.Errorf("got %d receipts counted, want 4", n)
	}
}

func TestTheSamePageOnAnotherSocketGoesOnWithoutABreak(t *testing.T) {
	t.Parallel()
	r, pages, signer := asking(t, vigil.UnwatchedHold)
	s := r.session(proctored)
	stamp := pages.of(s, "page-1")
	w := r.wire(studentClaims(s))
	w.write(asksHello(stamp))
	w.receipt()
	_ = w.ws.CloseNow()
	w = r.wire(studentClaims(s))
	w.write(asksHello(stamp))
	w.receipt()
	if list := signer.of("page-1"); !list[len(list)-1].From.Equal(list[0].From) {
		t.Errorf("got a break between %+v and %+v", list[0], list[len(list)-1])
	}
}

func TestNothingVouchesForAPageThatIsNotWatched(t *testing.T) {
	t.Parallel()
	r, pages, signer := asking(t, vigil.UnwatchedHold)
	s, other := r.session(proctored), r.session(proctored)
	none := r.wire(studentClaims(s))
	none.write(hello) // without a stamp
	foreign := r.wire(studentClaims(other))
	foreign.write(asksHello(pages.of(s, "page-of-a-classmate")))
	forged := r.session(proctored)
	r.wire(studentClaims(forged)).write(asksHello("forged"))
	silent := r.session(proctored)
	r.wire(studentClaims(silent)) // a decoy that never says whose page it is
	// A newer tab has the attempt: the older one gets none any more.
	two := r.session(proctored)
	older := r.wire(studentClaims(two))
	older.write(asksHello(pages.of(two, "older-tab")))
	older.receipt()
	newer := r.wire(studentClaims(two))
	newer.write(asksHello(pages.of(two, "newer-tab")))
	newer.receipt()
	before := len(signer.of("older-tab"))
	for range 3 {
		newer.receipt()
	}
	if got := len(signer.of("older-tab")); got != before {
		t.Errorf("the tab that was superseded got %d more receipts", got-before)
	}
	if n := len(signer.of("page-of-a-classmate")) + len(signer.of("forged")); n != 0 {
		t.Errorf("got %d receipts for pages of others", n)
	}
}

func TestAQuizThatAsksForNoReceiptsGetsNone(t *testing.T) {
	t.Parallel()
	r, pages, signer := asking(t, "")
	s := r.session(proctored)
	w := r.wire(studentClaims(s))
	w.write(asksHello(pages.of(s, "page-1")))
	w.write(`{"t":"signal","seq":1,"kind":"copy","at":1700000000000}`)
	r.until("the page works", func() bool { return r.kinds(s.ID)[vigil.KindCopy] == 1 })
	if got := signer.of("page-1"); len(got) != 0 {
		t.Errorf("got %d receipts", len(got))
	}
}

func TestAPageMayAskForReceiptsThatItsQuizDidNotAskForAtTheLaunch(t *testing.T) {
	t.Parallel()
	r, pages, _ := asking(t, "")
	s := r.session(proctored)
	stamp := pages.print(s, "page-1", func(page *realtime.Page) { page.Receipts = true })
	for range 2 { // and again on another socket of the page
		w := r.wire(studentClaims(s))
		w.write(asksHello(stamp))
		w.receipt()
		_ = w.ws.CloseNow()
	}
}

func TestAReceiptThatCannotBeSignedComesLater(t *testing.T) {
	t.Parallel()
	var c clock
	r, pages, signer := asking(t, vigil.UnwatchedAsk, func(cfg *realtime.Config) { cfg.Now = c.now })
	signer.fail(errDown)
	s := r.session(proctored)
	w := r.wire(studentClaims(s))
	w.write(asksHello(pages.of(s, "page-1")))
	w.write(`{"t":"signal","seq":1,"kind":"copy","at":1700000000000}`)
	r.until("the page works", func() bool { return r.kinds(s.ID)[vigil.KindCopy] == 1 })
	signer.fail(nil)
	c.add(6 * time.Second)
	w.receipt()
}

// asksHello is the hello of a monitor that can be asked how it is.
func asksHello(stamp string) string {
	return strings.Replace(helloWith(stamp), `"next":1`, `"next":1,"can":["alive"]`, 1)
}

func TestNothingVouchesForAMonitorThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	r, pages, signer := asking(t, vigil.UnwatchedHold, func(c *realtime.Config) {
		c.AliveEvery, c.AliveWait = 200*time.Millisecond, 100*time.Millisecond
	})
	s := r.session(proctored)
	w := r.wire(studentClaims(s))
	w.write(asksHello(pages.of(s, "page-1")))
	var asked protocol.Alive
	w.next(protocol.TypeAlive, &asked) // and is not answered, though pings are
	r.until("the monitor is silent", func() bool { return r.kinds(s.ID)[vigil.KindMonitorSilent] > 0 })
	before := len(signer.of("page-1"))
	w.next(protocol.TypeAlive, &asked)
	w.next(protocol.TypeAlive, &asked)
	if got := len(signer.of("page-1")); got > before+1 { // one may have been on its way
		t.Fatalf("got %d more receipts while no question was answered", got-before)
	}
	// The next page of a silent monitor gets none either, until it answers.
	w.write(`{"t":"bye","reason":"navigating"}`)
	_ = w.ws.CloseNow()
	w = r.wire(studentClaims(s))
	w.write(asksHello(pages.of(s, "page-2")))
	w.next(protocol.TypeAlive, &asked)
	if got := len(signer.of("page-2")); got != 0 {
		t.Errorf("got %d receipts for the next page of a silent monitor", got)
	}
	w.write(`{"t":"alive","id":"` + asked.ID + `","doc":"document-2","pages":1,"visible":1,"given":0}`)
	if got := w.receipt(); got.Page != "page-2" {
		t.Errorf("got a receipt of %q, want one of the page that answers", got.Page)
	}
	// A monitor that says that it cannot be asked has none: whoever knows receipts can be asked.
	old := r.session(proctored)
	w = r.wire(studentClaims(old))
	w.write(helloWith(pages.of(old, "page-3")))
	w.write(`{"t":"signal","seq":1,"kind":"copy","at":1700000000000}`)
	r.until("the page works", func() bool { return r.kinds(old.ID)[vigil.KindCopy] == 1 })
	if got := signer.of("page-3"); len(got) != 0 {
		t.Errorf("got %d receipts for a monitor that cannot be asked", len(got))
	}
}

func TestNothingVouchesForASilentMonitorThatWasForgottenMeanwhile(t *testing.T) {
	t.Parallel()
	r, pages, signer := asking(t, vigil.UnwatchedHold, func(c *realtime.Config) {
		c.AliveEvery, c.AliveWait = 200*time.Millisecond, 100*time.Millisecond
	})
	s := r.session(proctored)
	w := r.wire(studentClaims(s))
	w.write(asksHello(pages.of(s, "page-1")))
	r.until("it is stored that the monitor is silent", func() bool { return r.read(s.ID).Monitor.State == vigil.MonitorSilent })
	// Whoever stays away for a while is not remembered, nor by the server's next process.
	before := r.cfg
	r.stop()
	r.start(func(c *realtime.Config) {
		c.Pages, c.Receipts, c.Liveness, c.ReceiptEvery = before.Pages, before.Receipts, before.Liveness, before.ReceiptEvery
		c.AliveEvery, c.AliveWait = before.AliveEvery, before.AliveWait
	})
	w = r.wire(studentClaims(s))
	w.write(asksHello(pages.of(s, "page-2")))
	w.asked()
	id := w.asked() // the one before was not answered
	if got := len(signer.of("page-2")); got != 0 {
		t.Errorf("got %d receipts for a page of a silent monitor", got)
	}
	w.write(word(id, "page-two", 10, 0, 0, ""))
	if got := w.receipt(); got.Page != "page-2" {
		t.Errorf("got a receipt of %q, want one of the page that answers", got.Page)
	}
}
