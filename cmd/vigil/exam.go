package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"vigil"
	"vigil/storage"
)

type examCmd struct {
	List examListCmd `cmd:"" help:"List the exams: id, title, course, issuer, when it was made, attempts."`
}

type examListCmd struct {
	storeSettings `embed:""`
	Format        string `help:"table, or json (one JSON object a line)." enum:"table,json" default:"table"`
}

// examRow is one line of the list.
type examRow struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Course   string    `json:"course"`
	Issuer   string    `json:"issuer"`
	Created  time.Time `json:"created"`
	Attempts int       `json:"attempts"` // sessions that are kept, of all generations
}

// Run prints the exams, newest first.
func (c examListCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(store storage.Store) error {
		dump, err := dumperOf(store)
		if err != nil {
			return err
		}
		rows, err := listExams(ctx, store, dump)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			s.tell("No exams yet: an exam is made when the first person comes from its quiz.")
			return nil
		}
		if c.Format == "json" {
			w := bufio.NewWriter(s.out)
			for _, r := range rows {
				line, err := json.Marshal(r)
				if err != nil {
					return err
				}
				fmt.Fprintf(w, "%s\n", line)
			}
			return w.Flush()
		}
		w := tabwriter.NewWriter(s.out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tTITLE\tCOURSE\tISSUER\tCREATED\tATTEMPTS")
		for _, r := range rows {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\n", r.ID, inLine(r.Title), inLine(r.Course), inLine(r.Issuer), r.Created.Format(time.RFC3339), r.Attempts)
		}
		return w.Flush()
	})
}

// listExams reads all exams, newest first, and counts the attempts of each.
func listExams(ctx context.Context, store storage.Store, dump storage.Dumper) ([]examRow, error) {
	var rows []examRow
	err := eachPage(func(p storage.Page) ([]string, string, error) { return dump.ExamIDs(ctx, p) }, func(id string) error {
		e, err := store.Exam(ctx, id)
		if err != nil {
			return err
		}
		row := examRow{ID: e.ID, Title: e.Title, Course: e.Course, Issuer: e.Issuer, Created: e.Created}
		for _, err := range vigil.EachOf(ctx, store.SessionsOfExam, id) {
			if err != nil {
				return err
			}
			row.Attempts++
		}
		rows = append(rows, row)
		return nil
	})
	slices.SortStableFunc(rows, func(a, b examRow) int { return b.Created.Compare(a.Created) })
	return rows, err
}

// inLine keeps what an LMS names something from breaking a table.
func inLine(s string) string {
	out := []rune(s)
	for i, r := range out {
		if r < ' ' || r == 0x7f {
			out[i] = ' '
		}
	}
	return string(out)
}
