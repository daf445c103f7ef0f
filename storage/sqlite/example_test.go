package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"vigil"
	"vigil/storage/sqlite"
)

// Migrate makes the file, Open works with it. What a method has returned is on the disk, and
// storing a signal again changes nothing: browsers send again what was not acknowledged.
func Example() {
	dir, err := os.MkdirTemp("", "vigil-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, path := context.Background(), filepath.Join(dir, "vigil.db")
	if err := sqlite.Migrate(ctx, path, nil); err != nil {
		fmt.Println(err)
		return
	}
	store, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = store.Close() }()

	now := time.Now()
	exam := vigil.Exam{ID: "biology", Title: "Cells", Issuer: "https://lms.example", Policy: vigil.DefaultPolicy(), Created: now, Version: 1}
	session := vigil.Session{
		ID: "amir-1", ExamID: exam.ID, UserID: "amir", Attempt: 1, Generation: 1,
		State: vigil.StateActive, Version: 1, Created: now, Changed: now,
	}
	if err := store.CreateExam(ctx, exam); err != nil {
		fmt.Println(err)
		return
	}
	if err := store.CreateSession(ctx, session); err != nil {
		fmt.Println(err)
		return
	}

	away := vigil.Signal{
		SessionID: session.ID, ExamID: exam.ID, Stream: "browser-0123456789", Seq: 1,
		Kind: vigil.KindBlur, Severity: 0.1, At: now, Duration: 3 * time.Second, Received: now,
	}
	for range 2 {
		became, err := store.AppendSignals(ctx, []vigil.Signal{away})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("stored now:", became[0] == vigil.Stored)
	}
	stored, err := store.Session(ctx, session.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(stored.UserID, "has", stored.Tally.Signals, "signal")

	// Output:
	// stored now: true
	// stored now: false
	// amir has 1 signal
}
