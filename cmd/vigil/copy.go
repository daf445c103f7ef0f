package main

import (
	"context"
	"crypto/sha256"
	endian "encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"vigil"
	"vigil/storage"
)

// copyCmd copies a whole store into another.
type copyCmd struct {
	From             string `help:"The store to copy: sqlite:PATH or dynamodb:PREFIX." required:"" placeholder:"KIND:PLACE"`
	To               string `help:"The store to copy into: dynamodb:PREFIX or sqlite:PATH." required:"" placeholder:"KIND:PLACE"`
	DynamoDBRegion   string `name:"dynamodb-region" help:"As for serve." placeholder:"REGION"`
	DynamoDBEndpoint string `name:"dynamodb-endpoint" help:"As for serve." placeholder:"URL"`
	Live             bool   `help:"Copy though a server may be running on the source: what it writes meanwhile may be missing."`
}

// copySide is how many sessions are copied side by side.
const copySide = 8

// Run copies and verifies. After an error it may be run again: it goes on.
func (c copyCmd) Run(ctx context.Context, s *streams) error {
	from := storeSettings{Store: c.From, DynamoDBRegion: c.DynamoDBRegion, DynamoDBEndpoint: c.DynamoDBEndpoint}
	to := storeSettings{Store: c.To, DynamoDBRegion: c.DynamoDBRegion, DynamoDBEndpoint: c.DynamoDBEndpoint}
	if c.From == c.To {
		return vigil.Invalid("to", "The two stores are the same.")
	}
	return from.with(ctx, s, func(source storage.Store) error {
		dump, err := dumperOf(source)
		if err != nil {
			return err
		}
		if err := c.quiet(ctx, source); err != nil {
			return err
		}
		target, err := to.create(ctx, s.tell, commandLog(s))
		if err != nil {
			return err
		}
		return closing(target, func(target storage.Store) error {
			cp := &copier{source: source, dump: dump, target: target, say: s.tell}
			if err := cp.run(ctx); err != nil {
				return err
			}
			return s.sayf("Copied and verified: %s.\nPrivate keys stay sealed: give the new server the content of the old key file as VIGIL_KEY_SECRET.\n", cp.sum())
		})
	})
}

// quiet refuses a source on which a server runs.
func (c copyCmd) quiet(ctx context.Context, source storage.Store) error {
	nodes, err := source.Nodes(ctx)
	if err != nil || c.Live {
		return err
	}
	for _, n := range nodes {
		if ago := time.Since(n.Heard); ago < 30*time.Second {
			return vigil.Errorf(vigil.CodeConflict, "A server runs on the source, or did %s ago. Stop it and try again.", vigil.Span(ago))
		}
	}
	return nil
}

type copier struct {
	source storage.Store
	dump   storage.Dumper
	target storage.Store
	say    func(string)

	mu     sync.Mutex
	counts map[string]int
}

func (c *copier) count(kind string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[kind] += n
	if n := c.counts["session"]; kind == "session" && n%100 == 0 {
		c.say(fmt.Sprintf("%d sessions", n))
	}
}

func (c *copier) sum() string {
	var parts []string
	for kind, n := range c.counts {
		parts = append(parts, fmt.Sprintf("%d %s", n, kind))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// there forgives what an earlier run has copied.
func there(err error) error {
	if vigil.CodeOf(err) == vigil.CodeExists {
		return nil
	}
	return err
}

func (c *copier) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{c.platforms, c.keys, c.invitations, c.exams, c.audits} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) platforms(ctx context.Context) error {
	platforms, err := c.source.Platforms(ctx)
	if err != nil {
		return err
	}
	for _, p := range platforms {
		if err := there(c.target.CreatePlatform(ctx, p)); err != nil {
			return err
		}
		got, err := c.target.Platform(ctx, p.ID)
		if err != nil {
			return err
		}
		if digest("platform", got) != digest("platform", p) {
			return differs("platform", p.ID)
		}
		deployments, err := c.source.Deployments(ctx, p.ID)
		if err != nil {
			return err
		}
		for _, d := range deployments {
			if err := c.target.SaveDeployment(ctx, d); err != nil {
				return err
			}
			got, err := c.target.Deployment(ctx, p.ID, d.ID)
			if err != nil {
				return err
			}
			if digest("deployment", got) != digest("deployment", d) {
				return differs("deployment", d.ID)
			}
		}
		links := 0
		err = eachPage(func(page storage.Page) ([]vigil.Link, string, error) { return c.dump.LinksOfPlatform(ctx, p.ID, page) },
			func(l vigil.Link) error {
				links++
				if err := there(c.target.CreateLink(ctx, l)); err != nil {
					return err
				}
				got, err := c.target.Link(ctx, l.PlatformID, l.DeploymentID, l.ResourceLinkID)
				if err == nil && digest("link", got) != digest("link", l) {
					err = differs("link", l.ResourceLinkID)
				}
				return err
			})
		if err != nil {
			return err
		}
		c.count("platform", 1)
		c.count("deployment", len(deployments))
		c.count("link", links)
	}
	return nil
}

func differs(what, id string) error {
	return vigil.Errorf(vigil.CodeConflict, "The %s %s is in the target already, and differs. Copy into an empty store.", what, id)
}

func (c *copier) keys(ctx context.Context) error {
	for _, use := range vigil.KeyUses {
		keys, err := c.source.Keys(ctx, use)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := there(c.target.CreateKey(ctx, k)); err != nil {
				return err
			}
		}
		got, err := c.target.Keys(ctx, use)
		if err != nil {
			return err
		}
		copies := map[string]string{}
		for _, k := range got {
			copies[k.ID] = digest("key", k)
		}
		for _, k := range keys {
			if copies[k.ID] != digest("key", k) {
				return differs("key", k.ID)
			}
		}
		c.count("key", len(keys))
	}
	return nil
}

func (c *copier) invitations(ctx context.Context) error {
	return eachPage(func(page storage.Page) ([]vigil.Invitation, string, error) { return c.dump.Invitations(ctx, page) },
		func(i vigil.Invitation) error {
			if time.Since(i.Expires) > 0 { // nobody can use it any more
				return nil
			}
			c.count("invitation", 1)
			if err := there(c.target.CreateInvitation(ctx, i)); err != nil {
				return err
			}
			got, err := c.target.Invitation(ctx, i.Hash)
			if err == nil && digest("invitation", got) != digest("invitation", i) {
				err = differs("invitation", i.Hash)
			}
			return err
		})
}

func (c *copier) exams(ctx context.Context) error {
	total, done := 0, 0
	err := eachPage(func(page storage.Page) ([]string, string, error) { return c.dump.ExamIDs(ctx, page) },
		func(string) error { total++; return nil })
	if err != nil {
		return err
	}
	return eachPage(func(page storage.Page) ([]string, string, error) { return c.dump.ExamIDs(ctx, page) }, func(id string) error {
		e, err := c.source.Exam(ctx, id)
		if err != nil {
			return err
		}
		if err := there(c.target.CreateExam(ctx, e)); err != nil {
			return err
		}
		got, err := c.target.Exam(ctx, id)
		if err != nil {
			return err
		}
		if digest("exam", got) != digest("exam", e) {
			return differs("exam", id)
		}
		c.count("exam", 1)
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(copySide)
		err = eachPage(func(page storage.Page) ([]vigil.Session, string, error) {
			return c.source.SessionsOfExam(ctx, id, page)
		},
			func(v vigil.Session) error {
				// One after the other: lists go by the order of creation.
				if err := there(c.target.CreateSession(ctx, v)); err != nil {
					return err
				}
				g.Go(func() error { return c.session(ctx, v) })
				return nil
			})
		if copyErr := g.Wait(); copyErr != nil {
			return copyErr
		}
		if err != nil {
			return err
		}
		done++
		c.say(fmt.Sprintf("exam %d of %d copied: %s", done, total, id))
		return nil
	})
}

// copiedKind marks sessions that are copied, with their checksum, so that another run
// need not look at them again.
const copiedKind = "copied"

func (c *copier) session(ctx context.Context, v vigil.Session) error {
	want, counts, err := checksum(ctx, c.source, v)
	if err != nil {
		return err
	}
	now := time.Now()
	mark, err := c.target.GetRecord(ctx, copiedKind, v.ID, now)
	if err != nil && vigil.CodeOf(err) != vigil.CodeNotFound {
		return err
	}
	if err != nil || string(mark.Value) != want {
		if err := c.copySession(ctx, v); err != nil {
			return fmt.Errorf("copying session %s: %w", v.ID, err)
		}
		w, err := c.target.Session(ctx, v.ID)
		if err != nil {
			return fmt.Errorf("reading session %s back: %w", v.ID, err)
		}
		got, gotCounts, err := checksum(ctx, c.target, w)
		if err != nil {
			return err
		}
		for kind, n := range counts {
			if gotCounts[kind] != n {
				return vigil.Errorf(vigil.CodeConflict, "The session %s has %d of %s in the source and %d in the target. Copy into an empty store.",
					v.ID, n, kind, gotCounts[kind])
			}
		}
		if got != want {
			return differs("session", v.ID)
		}
		r := vigil.Record{Kind: copiedKind, Key: v.ID, Value: []byte(want), Expires: now.Add(7 * 24 * time.Hour)}
		if err := c.target.PutRecord(ctx, r); err != nil {
			return err
		}
	}
	c.count("session", 1)
	for kind, n := range counts {
		if kind != "session" {
			c.count(kind, n)
		}
	}
	return nil
}

// copySession writes what belongs to a session. Each write may be repeated.
func (c *copier) copySession(ctx context.Context, v vigil.Session) error {
	err := eachPages(func(p storage.Page) ([]vigil.Signal, string, error) { return c.source.SignalsOfSession(ctx, v.ID, p) },
		func(signals []vigil.Signal) error {
			_, err := c.target.AppendSignals(ctx, signals)
			return err
		})
	if err != nil {
		return err
	}
	err = eachPage(func(p storage.Page) ([]vigil.Incident, string, error) {
		return c.source.IncidentsOfSession(ctx, v.ID, p)
	},
		func(i vigil.Incident) error { return c.review(ctx, i) })
	if err != nil {
		return err
	}
	gaps, err := c.source.GapsOfSession(ctx, v.ID)
	if err != nil {
		return err
	}
	for _, g := range gaps {
		if err := there(c.target.CreateGap(ctx, g)); err != nil {
			return err
		}
	}
	deliveries, err := c.dump.DeliveriesOfSession(ctx, v.ID)
	if err != nil {
		return err
	}
	err = eachPage(func(p storage.Page) ([]vigil.Command, string, error) { return c.source.CommandsOfSession(ctx, v.ID, p) },
		func(cmd vigil.Command) error {
			t := vigil.Transition{Session: v, From: v.Version, Command: &cmd}
			deliveries = slices.DeleteFunc(deliveries, func(d vigil.Delivery) bool {
				own := d.CommandID == cmd.ID
				if own {
					t.Deliveries = append(t.Deliveries, d)
				}
				return own
			})
			return there(c.target.Transition(ctx, t))
		})
	if err != nil {
		return err
	}
	for i := range deliveries { // whose command is not kept: one by one, so that a repeat skips those that are there
		err := there(c.target.Transition(ctx, vigil.Transition{Session: v, From: v.Version, Deliveries: deliveries[i : i+1]}))
		if err != nil && vigil.CodeOf(err) != vigil.CodeConflict { // another version: reading back reports it
			return err
		}
	}
	err = eachPage(func(p storage.Page) ([]vigil.ChatLine, string, error) { return c.source.ChatOfSession(ctx, v.ID, p) },
		func(l vigil.ChatLine) error { return there(c.target.AddChat(ctx, l)) })
	if err != nil {
		return err
	}
	if v.Tally.Unread == 0 {
		if err := c.target.ReadChat(ctx, v.ID); err != nil {
			return err
		}
	}
	return c.target.SetHand(ctx, v.ID, v.Tally.Hand)
}

// review brings an incident's review over. An incident outlives its signal: where that has
// expired, the incident is made again of what it says itself.
func (c *copier) review(ctx context.Context, i vigil.Incident) error {
	got, err := c.target.Incident(ctx, i.SessionID, i.ID)
	if vigil.CodeOf(err) == vigil.CodeNotFound {
		if err := c.signalOf(ctx, i); err != nil {
			return err
		}
		got, err = c.target.Incident(ctx, i.SessionID, i.ID)
	}
	if err != nil || got.Review == i.Review && got.Note == i.Note && got.Reviewed.Equal(i.Reviewed) {
		return err
	}
	i.Version = got.Version
	return c.target.UpdateIncident(ctx, i)
}

func (c *copier) signalOf(ctx context.Context, i vigil.Incident) error {
	at := strings.LastIndexByte(i.ID, '/')
	seq, err := strconv.ParseInt(i.ID[at+1:], 10, 64)
	if at < 0 || err != nil {
		return vigil.Errorf(vigil.CodeInternal, "The incident %s is no signal's.", i.ID)
	}
	_, err = c.target.AppendSignals(ctx, []vigil.Signal{{
		SessionID: i.SessionID, ExamID: i.ExamID, Stream: i.ID[:at], Seq: seq, Kind: i.Kind, Severity: i.Severity, Incident: true,
		At: i.At, Received: i.At, Duration: i.Duration,
	}})
	return err
}

// audits copies the entries of no exam and of all that the target does not have.
func (c *copier) audits(ctx context.Context) error {
	copyOf := func(exam string) error {
		have := map[string]bool{}
		err := eachPage(func(p storage.Page) ([]vigil.Audit, string, error) { return c.target.AuditOfExam(ctx, exam, p) },
			func(a vigil.Audit) error { have[a.ID] = true; return nil })
		if err != nil {
			return err
		}
		var missing []vigil.Audit
		err = eachPage(func(p storage.Page) ([]vigil.Audit, string, error) { return c.source.AuditOfExam(ctx, exam, p) },
			func(a vigil.Audit) error {
				c.count("audit", 1)
				if !have[a.ID] {
					missing = append(missing, a)
				}
				return nil
			})
		if err != nil {
			return err
		}
		slices.Reverse(missing) // oldest first, as they came
		for _, a := range missing {
			if err := c.target.AppendAudit(ctx, a); err != nil {
				return err
			}
		}
		checkpoints, err := c.source.AuditCheckpoints(ctx, exam)
		if err != nil {
			return err
		}
		for _, p := range checkpoints {
			if err := c.target.PutAuditCheckpoint(ctx, p); err != nil {
				return err
			}
		}
		if len(checkpoints) > 0 {
			c.count("checkpoint", len(checkpoints))
		}
		copies := map[string]string{}
		err = eachPage(func(p storage.Page) ([]vigil.Audit, string, error) { return c.target.AuditOfExam(ctx, exam, p) },
			func(a vigil.Audit) error { copies[a.ID] = digest("audit", a); return nil })
		if err != nil {
			return err
		}
		return eachPage(func(p storage.Page) ([]vigil.Audit, string, error) { return c.source.AuditOfExam(ctx, exam, p) },
			func(a vigil.Audit) error {
				if copies[a.ID] != digest("audit", a) {
					return differs("audit entry", a.ID)
				}
				return nil
			})
	}
	if err := copyOf(""); err != nil {
		return err
	}
	return eachPage(func(page storage.Page) ([]string, string, error) { return c.dump.ExamIDs(ctx, page) }, copyOf)
}

// eachPages reads a list to its end, a page at a time.
func eachPages[T any](read func(p storage.Page) ([]T, string, error), do func([]T) error) error {
	var p storage.Page
	for {
		list, next, err := read(p)
		if err != nil {
			return err
		}
		if err := do(list); err != nil {
			return err
		}
		if next == "" {
			return nil
		}
		p.After = next
	}
}

// checksum is over a session and all that belongs to it, in any order, but for what the
// stores count by themselves: the tally, and how often an incident was written.
func checksum(ctx context.Context, store storage.Store, v vigil.Session) (sum string, counts map[string]int, err error) {
	h := &hashSink{counts: map[string]int{}}
	v.Tally = vigil.Tally{Hand: v.Tally.Hand}
	if err := (exporter{store: store, sink: h, kind: "all"}).session(ctx, v); err != nil {
		return "", nil, err
	}
	if lister, ok := store.(storage.DeliveryLister); ok {
		deliveries, err := lister.DeliveriesOfSession(ctx, v.ID)
		if err != nil {
			return "", nil, err
		}
		for _, d := range deliveries {
			if err := h.row("delivery", d); err != nil {
				return "", nil, err
			}
		}
	}
	return hex.EncodeToString(h.sum[:]), h.counts, nil
}

// hashSink adds up the hashes of rows.
type hashSink struct {
	sum    [sha256.Size]byte
	counts map[string]int
}

func (h *hashSink) row(kind string, v any) error {
	if i, ok := v.(vigil.Incident); ok {
		i.Version = 0
		v = i
	}
	b, err := json.Marshal(object(cells(v)))
	if err != nil {
		return err
	}
	h.counts[kind]++
	row := sha256.Sum256(append([]byte(kind+"\n"), b...))
	for i := 0; i < len(row); i += 8 {
		n := endian.BigEndian.Uint64(h.sum[i:]) + endian.BigEndian.Uint64(row[i:])
		endian.BigEndian.PutUint64(h.sum[i:], n)
	}
	return nil
}

func (h *hashSink) end() error { return nil }

// digest is a checksum of one thing.
func digest(kind string, v any) string {
	h := &hashSink{counts: map[string]int{}}
	if err := h.row(kind, v); err != nil {
		return err.Error()
	}
	return hex.EncodeToString(h.sum[:])
}
