package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"time"

	"github.com/google/uuid"

	"vigil"
	"vigil/lti"
	"vigil/storage"
	"vigil/storage/auditlog"
)

type auditCmd struct {
	Verify      auditVerifyCmd      `cmd:"" help:"Check that no audit entry was changed, removed or added."`
	Export      auditExportCmd      `cmd:"" help:"Write the audit entries of an exam, or those about none, as JSON Lines or CSV."`
	Checkpoints auditCheckpointsCmd `cmd:"" help:"Write the signed checkpoints, to be kept elsewhere and given to verify --against."`
}

// noExam names the entries about no exam: what operators and registrations did.
const noExam = "none"

// examsToAudit lists the exams that an argument names: one, none, or all.
func examsToAudit(ctx context.Context, store storage.Store, exam string) ([]string, error) {
	switch exam {
	case noExam:
		return []string{""}, nil
	case "":
	default:
		if _, err := store.Exam(ctx, exam); err != nil {
			if errors.Is(err, vigil.ErrNotFound) {
				return nil, vigil.Errorf(vigil.CodeNotFound, "There is no exam with the id %q; see `vigil exam list`.", exam)
			}
			return nil, err
		}
		return []string{exam}, nil
	}
	dump, err := dumperOf(store)
	if err != nil {
		return nil, err
	}
	ids, err := allOf(func(p storage.Page) ([]string, string, error) { return dump.ExamIDs(ctx, p) })
	return append([]string{""}, ids...), err
}

type auditVerifyCmd struct {
	storeSettings `embed:""`
	Exam          string `arg:"" optional:"" help:"The exam's id, or none for the entries about no exam. Default: all."`
	Against       string `help:"Checkpoints that 'vigil audit checkpoints' wrote earlier: what they vouch for must still be there." placeholder:"FILE"`
}

// Run checks the chains and prints what it found. Faults are an error.
func (c auditVerifyCmd) Run(ctx context.Context, s *streams) error {
	var further []vigil.AuditCheckpoint
	if c.Against != "" {
		f, err := os.Open(c.Against)
		if err != nil {
			return vigil.Wrap(err, vigil.CodeInvalid, "The checkpoints cannot be read.")
		}
		defer f.Close()
		if further, err = readCheckpoints(f); err != nil {
			return err
		}
	}
	return c.with(ctx, s, func(store storage.Store) error {
		exams, err := examsToAudit(ctx, store, c.Exam)
		if err != nil {
			return err
		}
		keys, err := store.Keys(ctx, vigil.KeyEvidence)
		if err != nil {
			return err
		}
		open := func(signature string) ([]byte, error) { return lti.VerifyEvidence(keys, signature) }
		var sum auditlog.Report
		withID := 0
		for _, exam := range exams {
			keep := vigil.DefaultPolicy().Retention.Audit
			if exam != "" {
				e, err := store.Exam(ctx, exam)
				if err != nil {
					return err
				}
				keep = e.Policy.Retention.Audit
				withID++
			}
			r, err := auditlog.Verify(ctx, store, exam, further, time.Duration(keep)*24*time.Hour, time.Now, open)
			if err != nil {
				return err
			}
			for _, f := range r.Faults {
				if err := s.sayf("FAULT %s\n", f); err != nil {
					return err
				}
			}
			sum = sum.Plus(r)
		}
		if err := s.sayf("%d entries in %d chains of %d exams, %d checkpoints. %d entries without their person (erased), %d written before there were chains, %d since the last checkpoint of their chain.\n",
			sum.Entries, sum.Chains, withID, sum.Checkpoints, sum.Erased, sum.Unchained, sum.Unsealed); err != nil {
			return err
		}
		if n := len(sum.Faults); n > 0 {
			return vigil.Errorf(vigil.CodeConflict, "%d faults: someone changed the entries, or the retention was shorter for a time (see the entries exam.policy).", n)
		}
		return s.sayf("No faults.\n")
	})
}

type auditExportCmd struct {
	storeSettings `embed:""`
	Exam          string `arg:"" help:"The exam's id, or none for the entries about no exam."`
	Format        string `help:"jsonl or csv." enum:"jsonl,csv" default:"jsonl"`
}

// Run writes the entries, newest first.
func (c auditExportCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(store storage.Store) error {
		exams, err := examsToAudit(ctx, store, c.Exam)
		if err != nil {
			return err
		}
		x := exporter{store: store, sink: exportSettings{Format: c.Format}.sink(s.out), kind: "audit"}
		for _, exam := range exams {
			if err := x.audits(ctx, exam); err != nil {
				return err
			}
		}
		if err := x.sink.end(); err != nil {
			return err
		}
		return c.record(ctx, s, store, deed{action: "export.audit", exam: exams[0]})
	})
}

type auditCheckpointsCmd struct {
	storeSettings `embed:""`
	Exam          string `arg:"" optional:"" help:"The exam's id, or none for the entries about no exam. Default: all."`
}

// writtenCheckpoint is a checkpoint as a line of JSON.
type writtenCheckpoint struct {
	Exam      string    `json:"exam"`
	Chain     string    `json:"chain"`
	Seq       int64     `json:"seq"`
	Hash      string    `json:"hash"`
	At        time.Time `json:"at"`
	Signature string    `json:"signature"`
}

// Run writes the checkpoints.
func (c auditCheckpointsCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(store storage.Store) error {
		exams, err := examsToAudit(ctx, store, c.Exam)
		if err != nil {
			return err
		}
		out := json.NewEncoder(s.out)
		for _, exam := range exams {
			list, err := store.AuditCheckpoints(ctx, exam)
			if err != nil {
				return err
			}
			for _, p := range list {
				if err := out.Encode(writtenCheckpoint{p.ExamID, p.Chain, p.Head.Seq, p.Head.Hash, p.Head.At, p.Signature}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// maxLine bounds a line of a file of checkpoints.
const maxLine = 64 << 10

// readCheckpoints reads what auditCheckpointsCmd writes. An error names the line.
func readCheckpoints(r io.Reader) ([]vigil.AuditCheckpoint, error) {
	var out []vigil.AuditCheckpoint
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		if len(lines.Bytes()) == 0 {
			continue
		}
		var w writtenCheckpoint
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil || w.Chain == "" || w.Seq < 1 || w.Signature == "" {
			return nil, &vigil.Error{Code: vigil.CodeInvalid, Field: "against", Message: fmt.Sprintf("Line %d is not a checkpoint as 'vigil audit checkpoints' writes them.", n), Err: err}
		}
		out = append(out, vigil.AuditCheckpoint{ExamID: w.Exam, Chain: w.Chain, Head: vigil.AuditHead{Seq: w.Seq, Hash: w.Hash, At: w.At}, Signature: w.Signature})
	}
	if err := lines.Err(); err != nil {
		return nil, vigil.Wrap(err, vigil.CodeInvalid, "The checkpoints cannot be read after line %d.", n)
	}
	return out, nil
}

// deed is what an operator's command did.
type deed struct {
	action string
	exam   string // id; may be empty
	detail string // nothing about a person
}

// record writes an operator's deed: who is the user of the operating system, from where the
// machine's name. The entry is a chain of its own, signed where the key is at hand.
func (s storeSettings) record(ctx context.Context, io *streams, store storage.Store, d deed) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	by := vigil.Actor{Role: vigil.RoleOperator, Name: operator()}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	keys := &commandKeys{settings: s, store: store}
	log := auditlog.New(auditlog.Config{Store: store, Signer: keys, Chain: "command-" + id.String()})
	err = log.AppendAudit(ctx, vigil.Audit{ID: id.String(), ExamID: d.exam, Action: d.action, By: by, From: host, Detail: d.detail, At: time.Now()})
	if err != nil {
		return vigil.Wrap(err, vigil.CodeOf(err), "It is done, but the audit entry (%s) could not be stored.", d.action)
	}
	if err := log.Seal(ctx); err != nil {
		io.tell("The audit entry is stored, but not signed: " + forPeople(err))
	}
	return nil
}

// operator names who runs the command.
func operator() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	u, err := user.Current()
	if err != nil {
		return fmt.Sprint("uid ", os.Getuid())
	}
	return cmp.Or(u.Username, "uid "+u.Uid)
}

// commandKeys sign for a command. They are made when they are needed: no key is created.
type commandKeys struct {
	settings storeSettings
	store    storage.Store
}

// SignEvidence implements auditlog.Signer.
func (k *commandKeys) SignEvidence(ctx context.Context, claims any) (string, error) {
	have, err := k.store.Keys(ctx, vigil.KeyEvidence)
	if err != nil {
		return "", err
	}
	if len(have) == 0 {
		return "", vigil.Errorf(vigil.CodeIllegal, "no server has made a signing key yet")
	}
	sealer, err := k.settings.sealer(ctx, k.store)
	if err != nil {
		return "", err
	}
	return lti.NewKeys(k.store, sealer, lti.KeyOptions{}).SignEvidence(ctx, claims)
}
