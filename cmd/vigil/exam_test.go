package main

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/internal/testutil"
)

func TestExamsAreListed(t *testing.T) { onEach(t, listsExams) }

func listsExams(t *testing.T, place string, e vigil.Exam) {
	store, err := storeSettings{Store: place}.open(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	later := vigil.Exam{ID: freshID(), Title: "Two\nlines", Course: "Physics", Issuer: "https://other.example", ContextID: "c", Policy: vigil.DefaultPolicy(), Created: e.Created.Add(time.Hour), Version: 1}
	if err := store.CreateExam(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	testutil.Until(t, "both exams", func() bool { // an index may lag behind
		lines = strings.Split(strings.TrimSpace(must(t, "exam", "list", "--store", place)), "\n")
		return len(lines) == 3
	})
	if !strings.HasPrefix(lines[0], "ID ") || !strings.HasSuffix(lines[0], "ATTEMPTS") {
		t.Errorf("got head %q", lines[0])
	}
	for i, want := range []vigil.Exam{later, e} {
		for _, part := range []string{want.ID, inLine(want.Title), want.Course, want.Issuer, want.Created.Format(time.RFC3339)} {
			if !strings.Contains(lines[i+1], part) {
				t.Errorf("got line %q, want %q in it", lines[i+1], part)
			}
		}
	}
	if !strings.HasSuffix(lines[1], " 0") || !strings.HasSuffix(lines[2], " 2") {
		t.Errorf("got lines %q, want no attempts of the later exam and two of the other", lines[1:])
	}
	var row struct {
		ID, Title string
		Attempts  int
	}
	first, _, _ := strings.Cut(must(t, "exam", "list", "--store", place, "--format=json"), "\n")
	if err := json.Unmarshal([]byte(first), &row); err != nil || row.ID != later.ID || row.Title != later.Title || row.Attempts != 0 {
		t.Errorf("got %s (%v), want the later exam", first, err)
	}
}

func TestAStoreWithoutExamsSaysSo(t *testing.T) {
	store := "sqlite:" + filepath.Join(t.TempDir(), "vigil.db")
	must(t, "migrate", "--store", store)
	code, out, errs := command(t.Context(), nil, "exam", "list", "--store", store)
	if code != 0 || out != "" || !strings.Contains(errs, "No exams yet") {
		t.Errorf("got code %d, %q, %q, want 0, nothing, and that there are none", code, out, errs)
	}
}
