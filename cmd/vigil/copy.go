package main

import (
	"context"
	"crypto/sha256"
	endian "encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
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
	to.again = &erasedBefore{}
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
			cp := &copier{source: source, dump: dump, target: target, say: s.tell, began: time.Now(), again: to.again}
			if err := cp.run(ctx); err != nil {
				return err
			}
			for _, line := range cp.moved.words() {
				s.tell(line)
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
	moment bool // leave out what lives for a moment: invitations, access records

	began time.Time
	again *erasedBefore // by which the target erases again; nil: it is not asked to

	mu     sync.Mutex
	counts map[string]int
	nodes  map[string]vigil.Node // those that sessions are connected to
	moved  moved
}

// moved is how much of the source changed while it was copied.
type moved struct {
	again    int // sessions that were read more than once
	restless int // of those: that never stood still; what is copied may be of several moments
	gone     int // sessions that were erased or expired meanwhile
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
	if err := c.seeNodes(ctx); err != nil {
		return err
	}
	steps := []func(context.Context) error{c.platforms, c.keys, c.exams, c.otherAudits, c.seeNodes, c.saveNodes, c.erasures}
	if !c.moment {
		steps = append(steps, c.invitations)
	}
	for _, step := range steps {
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
	ids, err := allOf(func(page storage.Page) ([]string, string, error) { return c.dump.ExamIDs(ctx, page) })
	if err != nil {
		return err
	}
	for i, id := range ids {
		if err := c.exam(ctx, id); err != nil {
			return err
		}
		c.say(fmt.Sprintf("exam %d of %d copied: %s", i+1, len(ids), id))
	}
	return nil
}

func (c *copier) exam(ctx context.Context, id string) error {
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
	g, sessionCtx := errgroup.WithContext(ctx)
	g.SetLimit(copySide)
	err = eachPage(func(page storage.Page) ([]vigil.Session, string, error) {
		return c.source.SessionsOfExam(sessionCtx, id, page)
	},
		func(v vigil.Session) error {
			// One after the other: lists go by the order of creation.
			if err := there(c.target.CreateSession(sessionCtx, v)); err != nil {
				return err
			}
			g.Go(func() error { return c.session(sessionCtx, v) })
			return nil
		})
	if copyErr := g.Wait(); copyErr != nil {
		return copyErr
	}
	if err == nil && !c.moment {
		err = c.accesses(ctx, id)
	}
	if err != nil {
		return err
	}
	return c.audits(ctx, id)
}

// accesses copies an exam's access records.
func (c *copier) accesses(ctx context.Context, exam string) error {
	return eachPage(func(p storage.Page) ([]vigil.Access, string, error) { return c.source.AccessOfExam(ctx, exam, p) },
		func(a vigil.Access) error {
			if err := c.target.PutAccess(ctx, a); err != nil && vigil.CodeOf(err) != vigil.CodeConflict {
				return err // a conflict: reading back reports it
			}
			got, err := c.target.Access(ctx, a.ExamID, a.UserID)
			if vigil.CodeOf(err) == vigil.CodeNotFound { // it expired meanwhile
				return nil
			}
			if err != nil {
				return err
			}
			if digest("access", got) != digest("access", a) {
				return differs("access record of", a.UserID)
			}
			c.count("access", 1)
			return nil
		})
}

// otherAudits copies the entries of no exam.
func (c *copier) otherAudits(ctx context.Context) error { return c.audits(ctx, "") }

// audits copies the entries of an exam that the target does not have.
func (c *copier) audits(ctx context.Context, exam string) error {
	inTarget := func() (map[string]string, error) {
		digests := map[string]string{}
		err := eachPage(func(p storage.Page) ([]vigil.Audit, string, error) { return c.target.AuditOfExam(ctx, exam, p) },
			func(a vigil.Audit) error { digests[a.ID] = digest("audit", a); return nil })
		return digests, err
	}
	have, err := inTarget()
	if err != nil {
		return err
	}
	// Before the entries: what a checkpoint vouches for must be in the copy.
	checkpoints, err := c.source.AuditCheckpoints(ctx, exam)
	if err != nil {
		return err
	}
	want := map[string]string{} // as it was read: a server may add more
	var missing []vigil.Audit
	err = eachPage(func(p storage.Page) ([]vigil.Audit, string, error) { return c.source.AuditOfExam(ctx, exam, p) },
		func(a vigil.Audit) error {
			want[a.ID] = digest("audit", a)
			if have[a.ID] == "" {
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
	for _, p := range checkpoints {
		if err := c.target.PutAuditCheckpoint(ctx, p); err != nil {
			return err
		}
	}
	if len(checkpoints) > 0 {
		c.count("checkpoint", len(checkpoints))
	}
	if have, err = inTarget(); err != nil {
		return err
	}
	for id, digest := range want {
		if have[id] != digest {
			return differs("audit entry", id)
		}
	}
	c.count("audit", len(want))
	return nil
}

// seeNodes notes the servers' rows as they are now, and keeps those that are gone since: a
// session that was copied may be connected to one. Who starts on the target judges by them who
// was lost with a server, and since when.
func (c *copier) seeNodes(ctx context.Context) error {
	nodes, err := c.source.Nodes(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nodes == nil {
		c.nodes = map[string]vigil.Node{}
	}
	for _, n := range nodes {
		c.nodes[n.ID] = n
	}
	return nil
}

// seeNode notes the server of a session that is connected, of which there was no row.
func (c *copier) seeNode(p vigil.Presence) {
	switch p.Connection {
	case vigil.ConnOnline, vigil.ConnDegraded, vigil.ConnNavigating:
	default:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.nodes[p.Node]; !ok && p.Node != "" {
		c.nodes[p.Node] = vigil.Node{ID: p.Node, Heard: p.Heard}
	}
}

func (c *copier) saveNodes(ctx context.Context) error {
	for _, n := range c.nodes {
		if err := c.target.RenewNode(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// erasures copies the list of what was erased. Who was erased while the store was copied may
// have been copied before, and is erased in the target, too.
func (c *copier) erasures(ctx context.Context) error {
	entries, err := allOf(func(p storage.Page) ([]vigil.Erasure, string, error) { return c.source.Erasures(ctx, p) })
	if err != nil {
		return err
	}
	var recent []vigil.Erasure
	for _, e := range entries {
		if err := c.target.AddErasure(ctx, e); err != nil {
			return err
		}
		if e.At.After(c.began.Add(-clocksApart)) {
			recent = append(recent, e)
		}
		c.count("erasure", 1)
	}
	if len(recent) == 0 || c.again == nil {
		return nil
	}
	dump, err := dumperOf(c.target)
	if err != nil {
		return err
	}
	c.again.add(recent)
	_, _, err = forget(ctx, c.target, dump, recent)
	return err
}

// clocksApart is by how much the clocks of servers may differ at most.
const clocksApart = time.Minute

// hashSink adds up the hashes of rows.
type hashSink struct {
	sum    [sha256.Size]byte
	counts map[string]int
}

func (h *hashSink) add(kind string, v any) {
	if i, ok := v.(vigil.Incident); ok {
		i.Version = 0
		v = i
	}
	b, err := json.Marshal(object(cells(v)))
	if err != nil { // what a store gave always has a JSON form
		panic(err)
	}
	h.counts[kind]++
	row := sha256.Sum256(append([]byte(kind+"\n"), b...))
	for i := 0; i < len(row); i += 8 {
		n := endian.BigEndian.Uint64(h.sum[i:]) + endian.BigEndian.Uint64(row[i:])
		endian.BigEndian.PutUint64(h.sum[i:], n)
	}
}

// digest is a checksum of one thing.
func digest(kind string, v any) string {
	h := &hashSink{counts: map[string]int{}}
	h.add(kind, v)
	return hex.EncodeToString(h.sum[:])
}
