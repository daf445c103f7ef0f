// Package storagetest holds the conformance suite of package storage: what every backend
// must do, each behaviour under its own name.
package storagetest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"vigil"
	"vigil/internal/testutil"
	"vigil/storage"
)

// Raw is what a store that is tested can do beside its contract: search everything that it
// keeps, as it lies on the disk or in the tables, also what was removed and not overwritten.
type Raw interface {
	// Holds tells where a text is found.
	Holds(t *testing.T, text string) []string
}

// Run runs the whole suite. open returns an empty store, which is a Raw, and arranges for its
// end with t.Cleanup; it is called once for each behaviour. The store judges retention by the
// real time.
func Run(t *testing.T, open func(t *testing.T) storage.Store) {
	for _, group := range []struct {
		name  string
		tests []behaviour
	}{
		{"Platforms", platforms},
		{"Invitations", invitations},
		{"Keys", keys},
		{"Records", records},
		{"Exams", exams},
		{"Sessions", sessions},
		{"Presence", presence},
		{"Groups", groups},
		{"Due", due},
		{"Transitions", transitions},
		{"Together", together},
		{"Accesses", accesses},
		{"Signals", signals},
		{"Incidents", incidents},
		{"Gaps", gaps},
		{"Commands", commands},
		{"Deliveries", deliveries},
		{"Chat", chat},
		{"Audits", audits},
		{"Retention", retention},
		{"People", people},
		{"Erasures", erasures},
		{"Nodes", nodes},
		{"Store", whole},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, b := range group.tests {
				t.Run(b.name, func(t *testing.T) {
					b.run(&suite{T: t, Store: open(t), now: time.Now().UTC().Truncate(time.Millisecond)})
				})
			}
		})
	}
}

// behaviour is one thing that every backend does.
type behaviour struct {
	name string
	run  func(s *suite)
}

// suite is what a behaviour is tested with. Its methods fail the test.
type suite struct {
	*testing.T
	storage.Store
	now time.Time
	n   int // counts what fill has set
}

// id makes an id that sorts by time of creation.
func id() string { return uuid.Must(uuid.NewV7()).String() }

// idAt makes an id as a node does whose clock shows a time.
func idAt(at time.Time) string {
	u := uuid.Must(uuid.NewV7())
	for i, ms := 0, at.UnixMilli(); i < 6; i++ {
		u[i] = byte(ms >> (8 * (5 - i)))
	}
	return u.String()
}

func (s *suite) ok(err error) {
	s.Helper()
	testutil.OK(s, err)
}

// code checks an error's code.
func (s *suite) code(what string, err error, want vigil.Code) {
	s.Helper()
	if got := vigil.CodeOf(err); got != want {
		s.Errorf("%s: got code %q (%v), want %q", what, got, err, want)
	}
}

// same compares what was read with what was written.
func same[T any](s *suite, what string, got, want T) {
	s.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		s.Errorf("%s: got (+) is not what was wanted (-):\n%s", what, d)
	}
}

// must returns a value that was read without error.
func must[T any](s *suite) func(v T, err error) T {
	return func(v T, err error) T {
		s.Helper()
		s.ok(err)
		return v
	}
}

// pages reads a list to its end in pages of a size, and checks each page's length.
func pages[T any](s *suite, limit int, read func(p storage.Page) ([]T, string, error)) []T {
	s.Helper()
	var out []T
	p := storage.Page{Limit: limit}
	for range 1000 {
		part, next, err := read(p)
		s.ok(err)
		if len(part) > limit {
			s.Fatalf("got a page of %d, want at most %d", len(part), limit)
		}
		out = append(out, part...)
		if next == "" {
			return out
		}
		if next == p.After {
			s.Fatalf("got the same next page twice: %q", next)
		}
		p.After = next
	}
	s.Fatal("the pages have no end")
	return nil
}

// paging checks a list: whole, in pages that do and do not divide it, of the largest
// size, and with a place that is none.
func paging[T any](s *suite, what string, want []T, read func(p storage.Page) ([]T, string, error)) {
	s.Helper()
	for _, limit := range []int{1, 2, 3, len(want), len(want) + 1, storage.MaxPage} {
		if limit > 0 {
			same(s, fmt.Sprintf("%s in pages of %d", what, limit), pages(s, limit, read), want)
		}
	}
	for _, limit := range []int{0, -1, storage.MaxPage + 1} {
		got, next, err := read(storage.Page{Limit: limit})
		s.ok(err)
		if next != "" {
			s.Errorf("%s with limit %d: got a next page, want none", what, limit)
		}
		same(s, fmt.Sprintf("%s with limit %d", what, limit), got, want)
	}
	_, _, err := read(storage.Page{After: "no such place"})
	s.code(what+" after no such place", err, vigil.CodeInvalid)
}

// race calls do n times at once and returns the errors.
func race(n int, do func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = do(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// oneWins checks that of a race one succeeded and the others got a code; it returns
// the winner's number.
func (s *suite) oneWins(errs []error, want vigil.Code) int {
	s.Helper()
	winner := -1
	for i, err := range errs {
		switch got := vigil.CodeOf(err); {
		case err == nil && winner < 0:
			winner = i
		case err == nil:
			s.Errorf("got a second winner, want one")
		case got != want:
			s.Errorf("got a loser's code %q (%v), want %q", got, err, want)
		}
	}
	if winner < 0 {
		s.Fatal("got no winner, want one")
	}
	return winner
}

// fill sets every field of a struct to a value of its own, so that a field that a
// backend forgets is noticed, also one that is added later.
func fill[T any](s *suite) T {
	var v T
	s.set(reflect.ValueOf(&v).Elem())
	return v
}

func (s *suite) set(v reflect.Value) {
	s.n++
	switch p := v.Addr().Interface().(type) {
	case *time.Time:
		*p = s.now.Add(time.Duration(s.n) * time.Millisecond)
		return
	case *time.Duration:
		*p = time.Duration(s.n) * time.Millisecond
		return
	case *json.RawMessage:
		*p = json.RawMessage(fmt.Sprintf(`{"n": %d}`, s.n))
		return
	case *[]byte:
		*p = []byte{0, 0xff, byte(s.n)}
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text-%d-ü'\"\u2028", s.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(s.n))
	case reflect.Float64:
		v.SetFloat(float64(s.n%100+1) / 128)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		s.set(v.Index(0))
		s.set(v.Index(1))
	case reflect.Struct:
		for i := range v.NumField() {
			s.set(v.Field(i))
		}
	default:
		s.Fatalf("fill does not know %s", v.Type())
	}
}
