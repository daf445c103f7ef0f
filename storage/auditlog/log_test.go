package auditlog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vigil"
	"vigil/storage/auditlog"
	"vigil/storage/sqlite"
	"vigil/storage/sqlite/sqlitetest"
)

// signer signs with a key that everybody knows.
type signer struct{}

func (signer) SignEvidence(_ context.Context, claims any) (string, error) {
	b, err := json.Marshal(claims)
	return "signed:" + string(b), err
}

func unsign(s string) ([]byte, error) {
	payload, ok := strings.CutPrefix(s, "signed:")
	if !ok {
		return nil, errors.New("not signed")
	}
	return []byte(payload), nil
}

// flaky is a store that does not answer while err is set.
type flaky struct {
	*sqlite.Store
	mu    sync.Mutex
	err   error
	after bool // the error comes after the work was done
	calls int
}

func (f *flaky) set(err error, after bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.after = err, after
}

func (f *flaky) AppendAudit(ctx context.Context, entries ...vigil.Audit) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.err != nil && !f.after {
		return f.err
	}
	if err := f.Store.AppendAudit(ctx, entries...); err != nil {
		return err
	}
	return f.err
}

const keep = 400 * 24 * time.Hour

func newStore(t *testing.T) (*flaky, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "v.db")
	sqlitetest.Create(t, path)
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	now := time.Now()
	if err := s.CreateExam(t.Context(), vigil.Exam{ID: "e", Issuer: "https://lms.example", Policy: vigil.DefaultPolicy(), Created: now, Version: 1}); err != nil {
		t.Fatal(err)
	}
	return &flaky{Store: s}, path
}

func entry(n int) vigil.Audit {
	return vigil.Audit{
		ID: fmt.Sprintf("id-%05d", n), ExamID: "e", Sessions: []string{"s"}, Action: "step", Detail: fmt.Sprint(n), At: time.Now(),
		By: vigil.Actor{Role: vigil.RoleProctor, ID: "p|7", Name: "Pat"}, From: "192.0.2.1",
	}
}

func verify(t *testing.T, s auditlog.Reader) auditlog.Report {
	t.Helper()
	r, err := auditlog.Verify(t.Context(), s, "e", nil, keep, time.Now, unsign)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEntriesOfManyCallersMakeOneValidChain(t *testing.T) {
	s, _ := newStore(t)
	l := auditlog.New(auditlog.Config{Store: s, Signer: signer{}, Chain: "c"})
	var wg sync.WaitGroup
	for n := range 200 {
		wg.Go(func() {
			if err := l.AppendAudit(t.Context(), entry(n)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := verify(t, s); got.Entries != 200 || got.Chains != 1 || got.Unsealed != 0 || got.Checkpoints != 1 || len(got.Faults) != 0 {
		t.Errorf("got %+v, want 200 entries in one sealed chain without faults", got)
	}
	if s.calls > 100 {
		t.Errorf("got %d calls of the store for 200 entries that came at once, want them in groups", s.calls)
	}
}

func TestEntriesOutliveAnOutageOfTheStore(t *testing.T) {
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprint("after the work: ", after), func(t *testing.T) {
			s, _ := newStore(t)
			l := auditlog.New(auditlog.Config{Store: s, Signer: signer{}, Chain: "c"})
			if err := l.AppendAudit(t.Context(), entry(1)); err != nil {
				t.Fatal(err)
			}
			s.set(vigil.Errorf(vigil.CodeUnavailable, "away"), after)
			for n := range 3 {
				if err := l.AppendAudit(t.Context(), entry(2+n)); vigil.CodeOf(err) != vigil.CodeUnavailable {
					t.Errorf("got %v, want that the store is away", err)
				}
			}
			if got := l.Stats().Waiting; got != 3 {
				t.Errorf("got %d waiting, want 3", got)
			}
			s.set(nil, false)
			if err := l.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := verify(t, s); got.Entries != 4 || got.Unsealed != 0 || len(got.Faults) != 0 {
				t.Errorf("got %+v, want 4 entries without faults", got)
			}
		})
	}
}

func TestWhatWaitsForTheStoreIsBoundedAndCounted(t *testing.T) {
	s, _ := newStore(t)
	l := auditlog.New(auditlog.Config{Store: s, Signer: signer{}, Chain: "c"})
	s.set(vigil.Errorf(vigil.CodeUnavailable, "away"), false)
	for n := range 1003 {
		_ = l.AppendAudit(t.Context(), entry(n)) // away
	}
	if got, want := l.Stats(), (auditlog.Stats{Waiting: 1000, Lost: 3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := l.Close(t.Context()); err == nil {
		t.Error("got no error of an end with entries that wait, want one")
	}
	s.set(nil, false)
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := verify(t, s); got.Entries != 1000 || len(got.Faults) != 0 {
		t.Errorf("got %+v, want 1000 entries without faults", got)
	}
}

func TestACallerWhoseTimeIsOverLeavesTheEntryToOthers(t *testing.T) {
	s, _ := newStore(t)
	l := auditlog.New(auditlog.Config{Store: s, Signer: signer{}, Chain: "c"})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_ = l.AppendAudit(gone, entry(1)) // it may be stored or wait
	if err := l.AppendAudit(t.Context(), entry(2)); err != nil {
		t.Fatal(err)
	}
	if got := verify(t, s); got.Entries != 2 || len(got.Faults) != 0 {
		t.Errorf("got %+v, want 2 entries without faults", got)
	}
}

func TestATimeThatGoesBackStaysInTheChainsOrder(t *testing.T) {
	s, _ := newStore(t)
	l := auditlog.New(auditlog.Config{Store: s, Signer: signer{}, Chain: "c"})
	for n, back := range []time.Duration{0, time.Minute, time.Second} {
		a := entry(n)
		a.At = a.At.Add(-back)
		if err := l.AppendAudit(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	if got := verify(t, s); got.Entries != 3 || len(got.Faults) != 0 {
		t.Errorf("got %+v, want 3 entries without faults", got)
	}
}

// TestWhatWasChangedIsFound changes stored entries as someone can who writes to the store.
func TestWhatWasChangedIsFound(t *testing.T) {
	for _, row := range []struct {
		name   string
		change string // SQL; empty: nothing
		want   string // of the fault; empty: none
	}{
		{"nothing", ``, ""},
		{"an erased person", `UPDATE audits SET by = '{"role":"proctor"}', address = '', salt = '' WHERE seq = 3`, ""},
		{"the action", `UPDATE audits SET action = 'other' WHERE seq = 3`, "changed"},
		{"the detail", `UPDATE audits SET detail = 'other' WHERE seq = 3`, "changed"},
		{"the attempts", `UPDATE audits SET sessions = '["t"]', session_id = 't' WHERE seq = 3`, "changed"},
		{"the role", `UPDATE audits SET by = json_set(by, '$.role', 'student') WHERE seq = 3`, "changed"},
		{"the time", `UPDATE audits SET at = at - 1 WHERE seq = 3`, "changed"},
		{"the name", `UPDATE audits SET by = json_set(by, '$.name', 'Mallory') WHERE seq = 3`, "who it was"},
		{"the user", `UPDATE audits SET by = json_set(by, '$.id', 'p|8') WHERE seq = 3`, "who it was"},
		{"the address", `UPDATE audits SET address = '192.0.2.2' WHERE seq = 3`, "who it was"},
		{"another person instead of an erased one", `UPDATE audits SET by = json_set(by, '$.name', 'Mallory'), salt = '' WHERE seq = 3`, "nothing proves"},
		{"the commitment and the person", `UPDATE audits SET who = 'x', salt = '', by = '{"role":"proctor"}', address = '' WHERE seq = 3`, "changed"},
		{"one entry removed", `DELETE FROM audits WHERE seq = 3`, "1 before it are missing"},
		{"the first ones removed", `DELETE FROM audits WHERE seq < 3`, "2 before it are missing"},
		{"the last ones removed", `DELETE FROM audits WHERE seq > 3`, "a checkpoint vouches for it"},
		{"all removed", `DELETE FROM audits`, "a checkpoint vouches for it"},
		{"the last one changed", `UPDATE audits SET action = 'other' WHERE seq = 5`, "not what the checkpoint says"},
		{"the checkpoint's number", `UPDATE audit_checkpoints SET seq = 4`, "another state of the chain"},
		{"the checkpoint's hash", `UPDATE audit_checkpoints SET hash = 'x'`, "another state of the chain"},
		{"the checkpoint's signature", `UPDATE audit_checkpoints SET signature = 'x'`, "not signed"},
		{"an entry added in the middle", `INSERT INTO audits (id, exam_id, session_id, action, by, detail, at, chain, seq, prev, prev_at, who, salt)
			SELECT 'another', exam_id, session_id, action, by, detail, at, chain, seq, prev, prev_at, who, salt FROM audits WHERE seq = 3`, "is there twice"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, path := newStore(t)
			l := auditlog.New(auditlog.Config{Store: s, Signer: signer{}, Chain: "c"})
			for n := range 5 {
				if err := l.AppendAudit(t.Context(), entry(n)); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if row.change != "" {
				sqlitetest.Exec(t, path, row.change)
			}
			got := verify(t, s)
			if row.want == "" {
				if len(got.Faults) != 0 || got.Unsealed != 0 {
					t.Errorf("got %+v, want no faults", got)
				}
				return
			}
			if !strings.Contains(fmt.Sprint(got.Faults), row.want) {
				t.Errorf("got faults %v, want %q", got.Faults, row.want)
			}
		})
	}
}

func TestWhatExpiredMayBeMissingAtTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []vigil.Audit
		var head vigil.AuditHead
		for n := range 5 {
			a := entry(n).After("c", head, []byte{1})
			head = a.Head()
			all = append(all, a)
			time.Sleep(100 * 24 * time.Hour) // the bubble's clock
		}
		old := vigil.AuditCheckpoint{ExamID: "e", Chain: "c", Head: all[0].Head()}
		// 500 days after the first, the first and the second are older than 300 days.
		expired := time.Now().Add(-300 * 24 * time.Hour)
		for _, row := range []struct {
			first int
			want  int
		}{{0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 1}} {
			vouched, faults := vigil.VerifyAuditChain(all[row.first:], []vigil.AuditCheckpoint{old}, expired)
			if len(faults) != row.want {
				t.Errorf("from entry %d on: got faults %v, want %d", row.first, faults, row.want)
			}
			if want := int64(0); row.first > 0 && vouched != want {
				t.Errorf("from entry %d on: got %d vouched, want %d", row.first, vouched, want)
			}
		}
		if _, faults := vigil.VerifyAuditChain(nil, []vigil.AuditCheckpoint{old}, expired); len(faults) != 0 {
			t.Errorf("all expired: got faults %v, want none", faults)
		}
	})
}
