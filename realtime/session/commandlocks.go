package session

import (
	"context"
	"hash/fnv"

	"vigil"
)

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

// lock takes the session's.
func (l *commandLocks) lock(ctx context.Context, session string) (unlock func(), err error) {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(session)) // never fails
	lock := l[sum.Sum32()%uint32(len(l))]
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, nil
	case <-ctx.Done():
		return nil, vigil.Wrap(ctx.Err(), vigil.CodeUnavailable, "The attempt's other commands take long; try again.")
	}
}
