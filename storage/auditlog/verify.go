package auditlog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"vigil"
)

// Reader is what verifying reads; package storage states the contract.
type Reader interface {
	AuditOfExam(ctx context.Context, examID string, page vigil.Page) (entries []vigil.Audit, next string, err error)
	AuditCheckpoints(ctx context.Context, examID string) ([]vigil.AuditCheckpoint, error)
}

// Report is what verifying one exam's entries found.
type Report struct {
	Entries     int // that were read
	Unchained   int // of them: written before there were chains
	Erased      int // of them: without their person
	Chains      int // with entries that have not expired
	Checkpoints int
	Unsealed    int // entries after the last checkpoint of their chain
	Faults      []vigil.AuditFault
}

// Verify checks all chains of an exam (empty: the entries about none), against the store's
// checkpoints and further ones that were kept elsewhere. open returns what a checkpoint's
// signature signs, if it is valid. Entries older than keep may be missing.
func Verify(ctx context.Context, store Reader, examID string, further []vigil.AuditCheckpoint, keep time.Duration, now func() time.Time,
	open func(signature string) ([]byte, error),
) (Report, error) {
	var r Report
	chains := map[string][]vigil.Audit{}
	for a, err := range vigil.EachOf(ctx, store.AuditOfExam, examID) {
		if err != nil {
			return r, err
		}
		r.Entries++
		if a.Chain.Seq == 0 {
			r.Unchained++
			continue
		}
		if a.Erased() {
			r.Erased++
		}
		chains[a.Chain.ID] = append(chains[a.Chain.ID], a)
	}
	r.Chains = len(chains)
	checkpoints, err := store.AuditCheckpoints(ctx, examID)
	if err != nil {
		return r, err
	}
	for _, c := range further {
		if c.ExamID == examID {
			checkpoints = append(checkpoints, c)
		}
	}
	signed := map[string][]vigil.AuditCheckpoint{}
	for _, c := range checkpoints {
		r.Checkpoints++
		if err := check(c, open); err != nil {
			r.Faults = append(r.Faults, vigil.AuditFault{ExamID: examID, Chain: c.Chain, Seq: c.Head.Seq, Problem: "the checkpoint is not valid: " + err.Error()})
			continue
		}
		signed[c.Chain] = append(signed[c.Chain], c)
		if chains[c.Chain] == nil {
			chains[c.Chain] = []vigil.Audit{}
		}
	}
	expired := now().Add(-keep) // after the reading: what expired meanwhile may be missing
	for _, name := range sorted(chains) {
		entries := chains[name]
		vouched, faults := vigil.VerifyAuditChain(entries, signed[name], expired)
		r.Faults = append(r.Faults, faults...)
		for _, a := range entries {
			if a.Chain.Seq > vouched {
				r.Unsealed++
			}
		}
	}
	return r, nil
}

func sorted(chains map[string][]vigil.Audit) []string {
	var names []string
	for name := range chains {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// check tells whether a checkpoint is what its signature signs.
func check(c vigil.AuditCheckpoint, open func(signature string) ([]byte, error)) error {
	payload, err := open(c.Signature)
	if err != nil {
		return err
	}
	var signed checkpoint
	if err := json.Unmarshal(payload, &signed); err != nil {
		return fmt.Errorf("reading what was signed: %w", err)
	}
	if signed != claimsOf(c) {
		return fmt.Errorf("the signature is of entry %d of another state of the chain", signed.Seq)
	}
	return nil
}

// Plus adds up two reports.
func (r Report) Plus(o Report) Report {
	return Report{
		Entries: r.Entries + o.Entries, Unchained: r.Unchained + o.Unchained, Erased: r.Erased + o.Erased, Chains: r.Chains + o.Chains,
		Checkpoints: r.Checkpoints + o.Checkpoints, Unsealed: r.Unsealed + o.Unsealed, Faults: append(r.Faults, o.Faults...),
	}
}
