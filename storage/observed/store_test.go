package observed_test

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/internal/testutil"
	"vigil/storage"
	"vigil/storage/observed"
	"vigil/storage/sqlite"
)

// told notes what an observer is told.
type told struct {
	mu    sync.Mutex
	begun []string
	ended []string
	errs  []error
}

type mark struct{}

func (o *told) Begin(ctx context.Context, operation string) context.Context {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.begun = append(o.begun, operation)
	return context.WithValue(ctx, mark{}, operation)
}

func (o *told) End(ctx context.Context, operation string, took time.Duration, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if took < 0 || ctx.Value(mark{}) != operation {
		panic("another operation's context: " + operation)
	}
	o.ended, o.errs = append(o.ended, operation), append(o.errs, err)
}

func open(t *testing.T) *sqlite.Store {
	path := filepath.Join(t.TempDir(), "vigil.db")
	testutil.OK(t, sqlite.Migrate(t.Context(), path, nil))
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	testutil.OK(t, err)
	return s
}

// broken is a store of which every method panics.
type broken struct{ storage.Store }

func TestEveryOperationIsToldByItsOwnName(t *testing.T) {
	snake := regexp.MustCompile(`([a-z])([A-Z])`)
	contract := reflect.TypeFor[storage.Store]()
	for m := range contract.Methods() {
		if m.Name == "Close" {
			continue
		}
		o := &told{}
		method := reflect.ValueOf(observed.New(broken{}, o)).MethodByName(m.Name)
		args := []reflect.Value{reflect.ValueOf(t.Context())}
		for i := 1; i < m.Type.NumIn(); i++ {
			args = append(args, reflect.Zero(m.Type.In(i)))
		}
		func() {
			defer func() {
				_ = recover()
				if !strings.Contains(string(debug.Stack()), "observed_test.(*broken)."+m.Name+"(") {
					t.Errorf("%s does not call its like of the store behind it", m.Name)
				}
			}()
			if m.Type.IsVariadic() {
				method.CallSlice(args)
			} else {
				method.Call(args)
			}
		}()
		want := strings.ToLower(snake.ReplaceAllString(m.Name, "${1}_${2}"))
		if got := append(o.begun, o.ended...); !reflect.DeepEqual(got, []string{want, want}) {
			t.Errorf("%s: got %q begun and ended, want %q twice", m.Name, got, want)
		}
	}
}

func TestAnObserverIsToldWhatCameOfAnOperation(t *testing.T) {
	s := open(t)
	defer s.Close()
	o := &told{}
	st := observed.New(s, o)
	testutil.OK(t, st.Ping(t.Context()))
	_, err := st.Exam(t.Context(), "nobody")
	if vigil.CodeOf(err) != vigil.CodeNotFound || len(o.errs) != 2 || o.errs[0] != nil || !errors.Is(o.errs[1], err) {
		t.Errorf("got %v, and %v told, want none and CodeNotFound", err, o.errs)
	}
}

// silent is an observer that does nothing.
type silent struct{}

func (silent) Begin(ctx context.Context, _ string) context.Context   { return ctx }
func (silent) End(context.Context, string, time.Duration, error)     {}
func (quick) Exam(context.Context, string) (e vigil.Exam, err error) { return e, nil }

type quick struct{ storage.Store }

func TestObservingAllocatesNothing(t *testing.T) {
	st := observed.New(quick{}, silent{})
	if n := testing.AllocsPerRun(100, func() { _, _ = st.Exam(t.Context(), "e") }); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}
