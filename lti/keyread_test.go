package lti_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vigil"
	"vigil/lti"
)

// slowStore is a store whose reads of keys wait for a gate, once there is one.
type slowStore struct {
	*memory
	reads atomic.Int32
	gates sync.Map // vigil.KeyUse → chan struct{}
}

func (s *slowStore) Keys(ctx context.Context, use vigil.KeyUse) ([]vigil.Key, error) {
	s.reads.Add(1)
	if gate, ok := s.gates.Load(use); ok {
		select {
		case <-gate.(chan struct{}):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.memory.Keys(ctx, use)
}

// shut makes reads of a use wait until the returned func is called.
func (s *slowStore) shut(use vigil.KeyUse) (open func()) {
	gate := make(chan struct{})
	s.gates.Store(use, gate)
	return func() {
		s.gates.Delete(use)
		close(gate)
	}
}

// inBubble runs a test with keys of its own whose time is the bubble's.
func inBubble(t *testing.T, f func(t *testing.T, s *slowStore, k *lti.Keys)) {
	t.Helper()
	g := newRig(t)
	g.ensureKeys() // outside: RSA keys are slow to make
	synctest.Test(t, func(t *testing.T) {
		s := &slowStore{memory: newMemory(time.Now)}
		for id, key := range g.store.keys {
			key.Created, key.Since = time.Now(), time.Now()
			s.keys[id] = key
		}
		k := lti.NewKeys(s, mustSealer(), lti.KeyOptions{})
		if err := k.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.reads.Store(0)
		f(t, s, k)
	})
}

// keySet reads a key set in the background.
func keySet(ctx context.Context, k *lti.Keys, use vigil.KeyUse) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := k.Set(ctx, use)
		done <- err
	}()
	return done
}

func TestManyCallersShareOneReadOfTheKeys(t *testing.T) {
	inBubble(t, func(t *testing.T, s *slowStore, k *lti.Keys) {
		time.Sleep(2 * time.Hour) // nothing to go by is left
		open := s.shut(vigil.KeyLTI)
		var callers []<-chan error
		for range 20 {
			callers = append(callers, keySet(t.Context(), k, vigil.KeyLTI))
		}
		time.Sleep(3 * time.Second)
		open()
		for _, c := range callers {
			if err := <-c; err != nil {
				t.Errorf("got %v, want the key set", err)
			}
		}
		if got := s.reads.Load(); got != 1 {
			t.Errorf("got %d reads for 20 callers, want 1", got)
		}
	})
}

func TestWaitingForAReadOfTheKeysEndsWithTheCaller(t *testing.T) {
	inBubble(t, func(t *testing.T, s *slowStore, k *lti.Keys) {
		time.Sleep(2 * time.Hour)
		open := s.shut(vigil.KeyLTI)
		first := keySet(t.Context(), k, vigil.KeyLTI)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		second := keySet(ctx, k, vigil.KeyLTI)
		synctest.Wait()
		cancel()
		synctest.Wait()
		select {
		case err := <-second:
			if !errors.Is(err, vigil.ErrUnavailable) || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want unavailable because of the caller", err)
			}
		default:
			t.Error("a caller that has gone still waits")
		}
		// The other use's keys are not held up.
		socket := keySet(t.Context(), k, vigil.KeySocket)
		synctest.Wait()
		select {
		case err := <-socket:
			if err != nil {
				t.Errorf("socket keys: got %v, want none", err)
			}
		default:
			t.Error("a read of the LTI keys holds up the socket keys")
		}
		open()
		if err := <-first; err != nil {
			t.Errorf("the first caller: got %v, want none", err)
		}
	})
}

// The read is for all who wait: that its first caller has gone does not end it.
func TestReadOfTheKeysOutlivesItsFirstCaller(t *testing.T) {
	inBubble(t, func(t *testing.T, s *slowStore, k *lti.Keys) {
		time.Sleep(2 * time.Hour)
		open := s.shut(vigil.KeyLTI)
		ctx, cancel := context.WithCancel(t.Context())
		first := keySet(ctx, k, vigil.KeyLTI)
		synctest.Wait()
		second := keySet(t.Context(), k, vigil.KeyLTI)
		synctest.Wait()
		cancel()
		synctest.Wait()
		open()
		<-first
		if err := <-second; err != nil {
			t.Errorf("got %v, want the key set", err)
		}
		if got := s.reads.Load(); got != 1 {
			t.Errorf("got %d reads, want 1", got)
		}
	})
}

func TestFailedReadOfTheKeysIsNotRepeatedByEverybody(t *testing.T) {
	inBubble(t, func(t *testing.T, s *slowStore, k *lti.Keys) {
		time.Sleep(2 * time.Hour)
		s.setFail(vigil.Errorf(vigil.CodeUnavailable, "down"))
		ask := func() error { return <-keySet(t.Context(), k, vigil.KeyLTI) }
		for range 20 {
			if err := ask(); !errors.Is(err, vigil.ErrUnavailable) {
				t.Errorf("got %v, want unavailable", err)
			}
		}
		if got := s.reads.Load(); got != 1 {
			t.Errorf("got %d reads of a store that fails, want 1", got)
		}
		// Nor by those who waited for it.
		time.Sleep(2 * time.Second)
		open := s.shut(vigil.KeyLTI)
		var callers []<-chan error
		for range 20 {
			callers = append(callers, keySet(t.Context(), k, vigil.KeyLTI))
		}
		synctest.Wait()
		open()
		for _, c := range callers {
			if err := <-c; !errors.Is(err, vigil.ErrUnavailable) {
				t.Errorf("got %v, want unavailable", err)
			}
		}
		if got := s.reads.Load(); got != 2 {
			t.Errorf("got %d reads, want 2", got)
		}
		s.setFail(nil)
		time.Sleep(time.Second)
		if err := ask(); err != nil {
			t.Errorf("a second later, the store answers again: got %v", err)
		}
	})
}

// A store that hangs costs one caller the time of the read, the others a second.
func TestOlderKeysServeWhileTheStoreHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, s *slowStore, k *lti.Keys) {
		time.Sleep(time.Minute)
		open := s.shut(vigil.KeyLTI)
		defer open()
		took := func(c <-chan error) time.Duration {
			began := time.Now()
			if err := <-c; err != nil {
				t.Errorf("got %v, want the older key set", err)
			}
			return time.Since(began)
		}
		first := keySet(t.Context(), k, vigil.KeyLTI)
		synctest.Wait()
		if got := took(keySet(t.Context(), k, vigil.KeyLTI)); got != time.Second {
			t.Errorf("the second caller: got %s, want 1s", got)
		}
		if got := took(first); got != 4*time.Second {
			t.Errorf("the first caller: got %s more, want 4s", got)
		}
		if got := took(keySet(t.Context(), k, vigil.KeyLTI)); got != 0 {
			t.Errorf("right after the failure: got %s, want 0s", got)
		}
		if got := s.reads.Load(); got != 1 {
			t.Errorf("got %d reads, want 1", got)
		}
	})
}

// What is read was read after one asked for it, even if the read takes longer than the
// snapshot may be old: two reads at most.
func TestSlowReadsOfTheKeysAreEnough(t *testing.T) {
	inBubble(t, func(t *testing.T, s *slowStore, k *lti.Keys) {
		time.Sleep(2 * time.Hour)
		for range 2 {
			open := s.shut(vigil.KeyLTI)
			first := keySet(t.Context(), k, vigil.KeyLTI)
			synctest.Wait()
			time.Sleep(4 * time.Second)
			open()
			if err := <-first; err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if got := s.reads.Load(); got != 2 {
			t.Errorf("got %d reads, want 2", got)
		}
	})
}

// A node that cannot read the keys must not call a token forged that another node signed
// with a new key.
func TestSocketTokenOfAnUnknownKeyWhileTheStoreIsDown(t *testing.T) {
	g := newRig(t)
	ctx := context.Background()
	g.ensureKeys()
	other, err := lti.New(lti.Config{PublicURL: publicURL, Store: g.store, Sealer: mustSealer(), Now: g.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Keys().Set(ctx, vigil.KeySocket); err != nil {
		t.Fatal(err)
	}
	g.clock.add(6 * time.Minute)
	if err := g.tool.Keys().Rotate(ctx, vigil.KeySocket); err != nil {
		t.Fatal(err)
	}
	g.clock.add(6 * time.Minute)
	if err := g.tool.Keys().Rotate(ctx, vigil.KeySocket); err != nil {
		t.Fatal(err)
	}
	token, _, err := g.tool.MintSocket(ctx, vigil.SocketClaims{Subject: "a", Exam: "e1", Role: "proctor"})
	if err != nil {
		t.Fatal(err)
	}
	g.store.setFail(vigil.Errorf(vigil.CodeUnavailable, "down"))
	if _, err := other.VerifySocket(ctx, token); !errors.Is(err, vigil.ErrUnavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	g.store.setFail(nil)
	g.clock.add(time.Second)
	if _, err := other.VerifySocket(ctx, token); err != nil {
		t.Errorf("the store answers again: got %v, want none", err)
	}
}
