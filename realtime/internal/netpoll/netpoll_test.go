package netpoll

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"vigil/internal/testutil"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair makes a Conn and its other side, which the test closes.
type pair func(t *testing.T) (Conn, net.Conn)

// started opens a connection whose bytes go into a sink.
func started(t *testing.T, open pair) (Conn, net.Conn, *sink) {
	t.Helper()
	l, peer := open(t)
	s := newSink(nil)
	testutil.OK(t, l.Start(s))
	return l, peer, s
}

// finish waits for the end of a connection and frees both ends.
func finish(t *testing.T, l Conn, peer net.Conn, s *sink) {
	t.Helper()
	_ = s.end(t)
	l.Close()
	_ = peer.Close()
}

// onEach runs a test on every kind of Conn.
func onEach(t *testing.T, test func(t *testing.T, open pair)) {
	t.Helper()
	t.Run("poll", func(t *testing.T) {
		t.Parallel()
		poll := &Poll{}
		t.Cleanup(poll.Close)
		test(t, func(t *testing.T) (Conn, net.Conn) {
			t.Helper()
			here, there := loopback(t)
			l, err := poll.Take(here)
			testutil.OK(t, err)
			return l, there
		})
	})
	t.Run("each-tcp", func(t *testing.T) {
		t.Parallel()
		test(t, func(t *testing.T) (Conn, net.Conn) {
			t.Helper()
			here, there := loopback(t)
			return Blocking(here), there
		})
	})
	t.Run("each-pipe", func(t *testing.T) {
		t.Parallel()
		test(t, func(*testing.T) (Conn, net.Conn) {
			here, there := net.Pipe()
			return Blocking(here), there
		})
	})
	t.Run("each-tls", func(t *testing.T) {
		t.Parallel()
		cert := certificate(t)
		poll := &Poll{}
		t.Cleanup(poll.Close)
		test(t, func(t *testing.T) (Conn, net.Conn) {
			t.Helper()
			here, there := loopback(t)
			server := tls.Server(here, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})
			client := tls.Client(there, &tls.Config{InsecureSkipVerify: true})
			done := make(chan error, 1)
			go func() { done <- server.HandshakeContext(context.Background()) }()
			testutil.OK(t, client.HandshakeContext(t.Context()))
			testutil.OK(t, <-done)
			l, err := poll.Take(server) // is no plain TCP connection
			testutil.OK(t, err)
			return l, client
		})
	})
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	testutil.OK(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	testutil.OK(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// loopback connects two ends. Buffers are small, so that little fills them.
func loopback(t *testing.T) (here, there net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.OK(t, err)
	defer func() { _ = l.Close() }()
	there, err = net.Dial("tcp", l.Addr().String())
	testutil.OK(t, err)
	here, err = l.Accept()
	testutil.OK(t, err)
	testutil.OK(t, here.(*net.TCPConn).SetWriteBuffer(64<<10))
	testutil.OK(t, there.(*net.TCPConn).SetReadBuffer(64<<10))
	return here, there
}

// sink is a Handler that keeps what it is told.
type sink struct {
	to Conn // to echo on; may be nil

	mu       sync.Mutex
	got      []byte
	owed     []byte // to the other side, by who echoes
	ends     int
	late     bool // something came after the end
	err      error
	writable chan struct{}
	ended    chan struct{}
}

func newSink(echo Conn) *sink {
	return &sink{to: echo, writable: make(chan struct{}, 1), ended: make(chan struct{})}
}

func (s *sink) Read(p []byte) {
	s.mu.Lock()
	s.got = append(s.got, p...)
	s.late = s.late || s.ends > 0
	s.mu.Unlock()
	s.echo(p)
	for i := range p { // they are the handler's
		p[i] = 0xee
	}
}

func (s *sink) Writable() {
	select {
	case s.writable <- struct{}{}:
	default:
	}
	s.echo(nil)
}

// echo writes what was read again, or when there is room.
func (s *sink) echo(p []byte) {
	if s.to == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owed = append(s.owed, p...)
	if len(s.owed) > 0 {
		n, _ := s.to.Write(s.owed) // an error is the end, which is told
		s.owed = s.owed[n:]
	}
}

func (s *sink) Ended(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends++; s.ends == 1 {
		s.err = err
		close(s.ended)
	}
}

// end waits for the end, and looks that it came once and last.
func (s *sink) end(t *testing.T) error {
	t.Helper()
	wait(t, "the end", s.ended)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends != 1 || s.late {
		t.Fatalf("ends: got %d, and more after it: %t", s.ends, s.late)
	}
	return s.err
}

func (s *sink) read() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.got)
}

func wait(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(testutil.Patience):
		t.Fatalf("waited in vain for %s", what)
	}
}

// numbered are bytes that tell where they stand.
func numbered(n int) []byte {
	b := make([]byte, 0, n+4)
	for i := 0; len(b) < n; i++ {
		b = binary.BigEndian.AppendUint32(b, uint32(i))
	}
	return b[:n]
}

// writeAll writes as whoever uses a Conn does: when it is full, what is left waits.
func writeAll(t *testing.T, l Conn, s *sink, p []byte) {
	t.Helper()
	for len(p) > 0 {
		n, err := l.Write(p)
		p = p[n:]
		switch {
		case errors.Is(err, ErrFull):
			wait(t, "room", s.writable)
		case err != nil:
			t.Fatal(err)
		}
	}
}

func TestBytesArriveInOrderAndTheEndComesLast(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open pair) {
		l, peer, s := started(t, open)
		sent := numbered(200000)
		for p := sent; len(p) > 0; {
			n := min(len(p), 7777)
			_, err := peer.Write(p[:n])
			testutil.OK(t, err)
			p = p[n:]
		}
		testutil.OK(t, peer.Close())
		if err := s.end(t); !errors.Is(err, io.EOF) {
			t.Errorf("end: got %v, want %v", err, io.EOF)
		}
		l.Close()
		if !bytes.Equal(s.read(), sent) {
			t.Errorf("read: got %d bytes, want the %d that were sent", len(s.read()), len(sent))
		}
	})
}

func TestWhatCameBeforeTheStartIsRead(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open pair) {
		l, peer := open(t)
		wrote := make(chan error, 1)
		go func() { // a pipe takes it when it is read
			_, err := peer.Write([]byte("early"))
			wrote <- errors.Join(err, peer.Close())
		}()
		if _, pipe := peer.(interface{ SetReadBuffer(int) error }); pipe {
			testutil.OK(t, <-wrote)
			wrote <- nil
		}
		s := newSink(nil)
		testutil.OK(t, l.Start(s))
		_ = s.end(t)
		testutil.OK(t, <-wrote)
		l.Close()
		if got := string(s.read()); got != "early" {
			t.Errorf("read: got %q, want what came early", got)
		}
	})
}

func TestAConnectionThatIsResetEndsWithAnError(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open pair) {
		l, peer := open(t)
		tcp, plain := peer.(*net.TCPConn)
		if c, secured := peer.(*tls.Conn); secured {
			tcp, plain = c.NetConn().(*net.TCPConn), true
		}
		if !plain {
			t.Skip("a pipe is never reset")
		}
		s := newSink(nil)
		testutil.OK(t, l.Start(s))
		testutil.OK(t, tcp.SetLinger(0))
		testutil.OK(t, tcp.Close())
		if err := s.end(t); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("end: got %v, want an error that tells of it", err)
		}
		l.Close()
	})
}

func TestAPeerWhoReadsLateGetsEverything(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open pair) {
		l, peer, s := started(t, open)
		sent := numbered(2 << 20)
		n := 0
		for { // fills what lies between
			m, err := l.Write(sent[n : n+100000])
			n += m
			if errors.Is(err, ErrFull) {
				break
			}
			testutil.OK(t, err)
		}
		if peer.LocalAddr().Network() == "pipe" {
			// A pipe holds nothing. A kernel may move what it holds to the other end at any
			// time, and then has room again though nobody has read.
			select {
			case <-s.writable:
				t.Fatal("room is told of before anybody has read")
			default:
			}
			if m, err := l.Write(sent[n : n+10]); m != 0 || !errors.Is(err, ErrFull) {
				t.Fatalf("another write: got %d and %v, want %v", m, err, ErrFull)
			}
		}
		got := make(chan []byte, 1)
		go func() {
			b := make([]byte, len(sent))
			m, _ := io.ReadFull(peer, b)
			got <- b[:m]
		}()
		wait(t, "room", s.writable)
		writeAll(t, l, s, sent[n:])
		if b := <-got; !bytes.Equal(b, sent) {
			t.Errorf("read: got %d bytes, want the %d that were written, in order", len(b), len(sent))
		}
		testutil.OK(t, peer.Close())
		_ = s.end(t)
		l.Close()
	})
}

// TestRoomIsToldOfThoughItWasFullBeforeTheStart: what is said first is written before
// anything is read.
func TestRoomIsToldOfThoughItWasFullBeforeTheStart(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open pair) {
		l, peer := open(t)
		sent := numbered(2 << 20)
		n := 0
		for {
			m, err := l.Write(sent[n : n+100000])
			n += m
			if errors.Is(err, ErrFull) {
				break
			}
			testutil.OK(t, err)
		}
		_, err := io.ReadFull(peer, make([]byte, n)) // all of it, before the start
		testutil.OK(t, err)
		if e, each := l.(*blocking); each {
			e.wg.Wait()
		}
		s := newSink(nil)
		testutil.OK(t, l.Start(s))
		wait(t, "room", s.writable)
		got := make(chan []byte, 1)
		go func() {
			b := make([]byte, len(sent)-n)
			m, _ := io.ReadFull(peer, b)
			got <- b[:m]
		}()
		writeAll(t, l, s, sent[n:])
		if !bytes.Equal(<-got, sent[n:]) {
			t.Error("not everything came")
		}
		testutil.OK(t, peer.Close())
		_ = s.end(t)
		l.Close()
	})
}

func TestAFrameWrittenRightBeforeShutArrives(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open pair) {
		for range 50 {
			l, peer, s := started(t, open)
			last := numbered(2000)
			_, err := l.Write(last)
			testutil.OK(t, err)
			l.Shut()
			l.Shut() // again does nothing
			got, err := io.ReadAll(peer)
			if err != nil || !bytes.Equal(got, last) {
				t.Fatalf("read: got %d bytes and %v, want the %d that were written", len(got), err, len(last))
			}
			finish(t, l, peer, s)
		}
	})
}

func TestShutEndsAWriteThatHangs(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open pair) {
		l, peer, s := started(t, open)
		for {
			if _, err := l.Write(make([]byte, 100000)); errors.Is(err, ErrFull) {
				break
			}
		}
		begin := time.Now()
		l.Shut()
		if d := time.Since(begin); d > lastWrite/2 {
			t.Errorf("Shut waited for %v", d)
		}
		finish(t, l, peer, s)
	})
}

// TestShutDoesNotWaitForAConnectionThatIsSlowToClose: TLS says goodbye first, and waits until
// that is written.
func TestShutDoesNotWaitForAConnectionThatIsSlowToClose(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	conn := &slowClose{Conn: here, gate: make(chan struct{})}
	l := Blocking(conn)
	s := newSink(nil)
	testutil.OK(t, l.Start(s))
	done := make(chan struct{})
	go func() { defer close(done); l.Shut() }()
	wait(t, "Shut", done)
	close(conn.gate)
	_ = s.end(t)
	l.Close()
	_ = there.Close()
}

type slowClose struct {
	net.Conn
	gate chan struct{}
}

func (c *slowClose) Close() error { <-c.gate; return c.Conn.Close() }

func TestShutBeforeTheStartEndsAsSoonAsItIsStarted(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open pair) {
		l, peer := open(t)
		l.Shut()
		s := newSink(nil)
		testutil.OK(t, l.Start(s))
		finish(t, l, peer, s)
	})
}

func TestNothingIsWrittenAfterTheEnd(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open pair) {
		l, peer, s := started(t, open)
		l.Shut()
		_ = s.end(t)
		if n, err := l.Write([]byte("late")); n != 0 || err == nil || errors.Is(err, ErrFull) {
			t.Errorf("after Shut: got %d and %v, want an error", n, err)
		}
		l.Close()
		if n, err := l.Write([]byte("late")); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: got %d and %v, want %v", n, err, net.ErrClosed)
		}
		l.Shut()
		l.Close() // both do nothing
		_ = peer.Close()
	})
}

func TestALineThatWasNeverStartedIsClosed(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open pair) {
		l, peer := open(t)
		l.Close()
		if b, err := io.ReadAll(peer); err != nil || len(b) > 0 {
			t.Errorf("the other side reads %d bytes and %v, want the end", len(b), err)
		}
		_ = peer.Close()
	})
}

// TestManyAtOnce has many connections say different things at the same time.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open pair) {
		const many = 200
		var wg sync.WaitGroup
		for i := range many {
			l, peer := open(t)
			s := newSink(l)
			testutil.OK(t, l.Start(s))
			wg.Go(func() {
				defer func() { _ = peer.Close() }()
				for j := range 20 {
					if err := echoed(peer, fmt.Sprintf("%04d %04d %s", i, j, bytes.Repeat([]byte{'a' + byte(i%26)}, i))); err != nil {
						t.Errorf("connection %d: %v", i, err)
						return
					}
				}
			})
			t.Cleanup(func() { _ = s.end(t); l.Close() })
		}
		wg.Wait()
	})
}

func echoed(peer net.Conn, msg string) error {
	if err := peer.SetDeadline(time.Now().Add(testutil.Patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(peer, msg); err != nil {
		return err
	}
	b := make([]byte, len(msg))
	if n, err := io.ReadFull(peer, b); err != nil || string(b) != msg {
		return fmt.Errorf("got %q and %w, want %q", b[:n], err, msg)
	}
	return nil
}

// TestConnectionsThatComeAndGoAreNeverMixedUp opens and closes many, which use the same
// descriptors again, while others go on talking.
func TestConnectionsThatComeAndGoAreNeverMixedUp(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open pair) {
		stop := make(chan struct{})
		var steady, churn sync.WaitGroup
		for i := range 10 {
			l, peer := open(t)
			s := newSink(l)
			testutil.OK(t, l.Start(s))
			steady.Go(func() {
				for j := 0; ; j++ {
					select {
					case <-stop:
						_ = peer.Close()
						_ = s.end(t)
						l.Close()
						return
					default:
					}
					if err := echoed(peer, fmt.Sprintf("steady %d %06d", i, j)); err != nil {
						t.Errorf("one that stays: %v", err)
						<-stop
					}
				}
			})
		}
		for i := range 4 {
			churn.Go(func() {
				for j := range 125 {
					l, peer := open(t)
					s := newSink(l)
					if err := l.Start(s); err != nil {
						t.Error(err)
						return
					}
					if err := echoed(peer, fmt.Sprintf("churn %d %06d", i, j)); err != nil {
						t.Errorf("one that comes and goes: %v", err)
					}
					if j%2 == 0 {
						l.Shut()
					} else {
						_ = peer.Close()
					}
					select {
					case <-s.ended:
					case <-time.After(testutil.Patience):
						t.Error("no end")
						return
					}
					l.Close()
					_ = peer.Close()
				}
			})
		}
		churn.Wait()
		close(stop)
		steady.Wait()
	})
}

// TestCloseGivesTheDescriptorBack runs alone: others open some meanwhile.
func TestCloseGivesTheDescriptorBack(t *testing.T) { //nolint:paralleltest // see above
	if runtime.GOOS != "linux" {
		t.Skip("descriptors are counted in /proc")
	}
	poll := &Poll{}
	defer poll.Close()
	once := func(take func(net.Conn) (Conn, error), start bool) {
		here, there := loopback(t)
		l, err := take(here)
		testutil.OK(t, err)
		if start {
			s := newSink(nil)
			testutil.OK(t, l.Start(s))
			testutil.OK(t, there.Close())
			_ = s.end(t)
		}
		l.Close()
		_ = there.Close()
	}
	each := func(c net.Conn) (Conn, error) { return Blocking(c), nil }
	once(poll.Take, true) // what exists once
	before := descriptors(t)
	for range 100 {
		once(poll.Take, true)
		once(poll.Take, false)
		once(each, true)
		once(each, false)
	}
	if after := descriptors(t); after > before {
		t.Errorf("descriptors: got %d, want %d as before", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	testutil.OK(t, err)
	return len(list)
}
