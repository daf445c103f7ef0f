package sqlite_test

import (
	"context"
	"regexp"
	"sync"
	"testing"

	"vigil/storage"
	"vigil/storage/sqlite"
	"vigil/storage/storagetest"
)

func TestStoreFulfilsTheContract(t *testing.T) {
	var mu sync.Mutex
	used := map[string]bool{}
	storagetest.Run(t, func(t *testing.T) storage.Store {
		s := open(t, sqlite.Config{})
		t.Cleanup(func() {
			mu.Lock()
			defer mu.Unlock()
			texts, err := s.Statements(context.WithoutCancel(t.Context()))
			if err != nil {
				t.Error(err)
			}
			for _, q := range texts {
				used[q] = true
			}
		})
		return s
	})
	t.Run("without scanning a table that grows", func(t *testing.T) { noScans(t, used) })
}

// Tables that are read whole on purpose, under the names that the statements give them:
// few rows (platforms, nodes, keys), rows of the statement itself (v, blocks), and exams
// and invitations when sweeping.
var maySCAN = regexp.MustCompile(`^SCAN (platforms|nodes|keys|v|b|blocks|e|exams|invitations|CONSTANT ROW|\d+[ -](ROW|CONSTANT ROWS?).*|2 CONSTANT ROWS)\b`)

func noScans(t *testing.T, used map[string]bool) {
	s := open(t, sqlite.Config{})
	explained := 0
	for q := range used {
		if !regexp.MustCompile(`^(SELECT|INSERT|UPDATE|DELETE|WITH)`).MatchString(q) {
			continue
		}
		plan, err := s.Plan(t.Context(), q)
		if err != nil {
			t.Errorf("explaining %s: %v", q, err)
		}
		for _, step := range plan {
			if regexp.MustCompile(`^SCAN `).MatchString(step) && !maySCAN.MatchString(step) || regexp.MustCompile(`AUTOMATIC`).MatchString(step) {
				t.Errorf("got plan %q, want no scan, in:\n%s", plan, q)
			}
			if regexp.MustCompile(`USE TEMP B-TREE FOR ORDER BY`).MatchString(step) && regexp.MustCompile(`LIMIT \?$`).MatchString(q) {
				t.Errorf("got plan %q, want no sorting of more than the page, in:\n%s", plan, q)
			}
		}
		explained++
	}
	if explained < 60 {
		t.Errorf("got %d statements, want all of them", explained)
	}
}
