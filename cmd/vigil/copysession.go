package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigil"
	"vigil/storage"
)

// sessionCopy is a session with all that belongs to it.
type sessionCopy struct {
	session    vigil.Session
	signals    []vigil.Signal
	incidents  []vigil.Incident
	gaps       []vigil.Gap
	commands   []vigil.Command
	deliveries []vigil.Delivery // those that wait
	chat       []vigil.ChatLine
}

// maxReads bounds how often a session is read that changes all the time.
const maxReads = 6

// readSession reads a session as it was at one moment: its signals first, which are only ever
// added, and then the rest until it is the same twice. again tells how often it was not;
// after maxReads what was read last has to do.
func readSession(ctx context.Context, store storage.Store, lister storage.DeliveryLister, id string) (c sessionCopy, again int, err error) {
	if err := c.readRest(ctx, store, lister, id); err != nil {
		return c, 0, err
	}
	for {
		before := c.rest()
		c.signals, err = allOf(func(p storage.Page) ([]vigil.Signal, string, error) { return store.SignalsOfSession(ctx, id, p) })
		if err != nil {
			return c, again, err
		}
		if err := c.readRest(ctx, store, lister, id); err != nil {
			return c, again, err
		}
		if c.rest() == before {
			return c, again, nil
		}
		if again++; again == maxReads {
			return c, again, nil
		}
	}
}

// readRest reads all but the signals.
func (c *sessionCopy) readRest(ctx context.Context, store storage.Store, lister storage.DeliveryLister, id string) (err error) {
	if c.session, err = store.Session(ctx, id); err != nil {
		return err
	}
	c.incidents, err = allOf(func(p storage.Page) ([]vigil.Incident, string, error) { return store.IncidentsOfSession(ctx, id, p) })
	if err != nil {
		return err
	}
	if c.gaps, err = store.GapsOfSession(ctx, id); err != nil {
		return err
	}
	c.commands, err = allOf(func(p storage.Page) ([]vigil.Command, string, error) { return store.CommandsOfSession(ctx, id, p) })
	if err != nil {
		return err
	}
	if c.deliveries, err = lister.DeliveriesOfSession(ctx, id); err != nil {
		return err
	}
	c.chat, err = allOf(func(p storage.Page) ([]vigil.ChatLine, string, error) { return store.ChatOfSession(ctx, id, p) })
	return err
}

// rest is a checksum over all but the signals, and but for what a student changes by being
// there.
func (c sessionCopy) rest() string {
	c.signals = nil
	c.session.Presence.Heard = time.Time{}
	sum, _ := c.checksum()
	return sum
}

// checksum is over a session and all that belongs to it, in any order, but for what the
// stores count by themselves: the tally, and how often an incident was written.
func (c sessionCopy) checksum() (sum string, counts map[string]int) {
	h := &hashSink{counts: map[string]int{}}
	c.session.Tally = vigil.Tally{Hand: c.session.Tally.Hand}
	h.add("session", c.session)
	addAll(h, "signal", c.signals)
	addAll(h, "incident", c.incidents)
	addAll(h, "gap", c.gaps)
	addAll(h, "command", c.commands)
	addAll(h, "delivery", c.deliveries)
	addAll(h, "chat", c.chat)
	return hex.EncodeToString(h.sum[:]), h.counts
}

func addAll[T any](h *hashSink, kind string, list []T) {
	for _, v := range list {
		h.add(kind, v)
	}
}

// copiedKind marks sessions that are copied, with their checksum, so that another run
// need not look at them again.
const copiedKind = "copied"

// session copies one that was created in the target as listed.
func (c *copier) session(ctx context.Context, listed vigil.Session) error {
	from, again, err := readSession(ctx, c.source, c.dump, listed.ID)
	if vigil.CodeOf(err) == vigil.CodeNotFound { // erased since, of which the list of erasures tells, or expired
		c.mu.Lock()
		defer c.mu.Unlock()
		c.moved.gone++
		return nil
	}
	if err != nil {
		return err
	}
	c.seeNode(from.session.Presence)
	want, counts := from.checksum()
	now := time.Now()
	mark, err := c.target.GetRecord(ctx, copiedKind, listed.ID, now)
	if err != nil && vigil.CodeOf(err) != vigil.CodeNotFound {
		return err
	}
	if err != nil || string(mark.Value) != want {
		if err := c.copySession(ctx, listed, from); err != nil {
			return fmt.Errorf("copying session %s: %w", listed.ID, err)
		}
		lister, ok := c.target.(storage.DeliveryLister)
		if !ok {
			return vigil.Errorf(vigil.CodeInternal, "A store of this kind cannot list what waits for the platforms.")
		}
		got, _, err := readSession(ctx, c.target, lister, listed.ID)
		if err != nil {
			return fmt.Errorf("reading session %s back: %w", listed.ID, err)
		}
		gotSum, gotCounts := got.checksum()
		for kind, n := range counts {
			if gotCounts[kind] != n {
				return vigil.Errorf(vigil.CodeConflict, "The session %s has %d of %s in the source and %d in the target. Copy into an empty store.",
					listed.ID, n, kind, gotCounts[kind])
			}
		}
		if gotSum != want {
			return differs("session", listed.ID)
		}
		r := vigil.Record{Kind: copiedKind, Key: listed.ID, Value: []byte(want), Expires: now.Add(7 * 24 * time.Hour)}
		if err := c.target.PutRecord(ctx, r); err != nil {
			return err
		}
	}
	c.mu.Lock()
	if again > 0 {
		c.moved.again++
	}
	if again == maxReads {
		c.moved.restless++
	}
	c.mu.Unlock()
	c.count("session", 1)
	for kind, n := range counts {
		if kind != "session" {
			c.count(kind, n)
		}
	}
	return nil
}

// bring makes a session that was created as it was listed what it was a moment later.
func (c *copier) bring(ctx context.Context, listed, now vigil.Session) error {
	if now.Version > listed.Version {
		if err := c.target.Transition(ctx, vigil.Transition{Session: now, From: listed.Version}); err != nil && vigil.CodeOf(err) != vigil.CodeConflict {
			return err // a conflict: an earlier run did it, or reading back reports it
		}
	} else if !now.DueAt.Equal(listed.DueAt) {
		if err := c.target.SetDue(ctx, now.ID, now.Version, now.DueAt); err != nil && vigil.CodeOf(err) != vigil.CodeConflict {
			return err
		}
	}
	if now.GroupsVersion > listed.GroupsVersion {
		if err := c.target.SetGroups(ctx, now.ID, now.Groups, now.GroupsVersion); err != nil && vigil.CodeOf(err) != vigil.CodeConflict {
			return err
		}
	}
	if now.Presence == listed.Presence {
		return nil
	}
	if err := c.target.SetPresence(ctx, now.ID, now.Presence); err != nil && vigil.CodeOf(err) != vigil.CodeConflict {
		return err
	}
	return nil
}

// copySession writes what belongs to a session. Each write may be repeated.
func (c *copier) copySession(ctx context.Context, listed vigil.Session, from sessionCopy) error {
	v := from.session
	if err := c.bring(ctx, listed, v); err != nil {
		return err
	}
	for signals := range slices.Chunk(from.signals, storage.MaxPage) {
		if _, err := c.target.AppendSignals(ctx, signals); err != nil {
			return err
		}
	}
	for _, i := range from.incidents {
		if err := c.review(ctx, i); err != nil {
			return err
		}
	}
	for _, g := range from.gaps {
		if err := there(c.target.CreateGap(ctx, g)); err != nil {
			return err
		}
	}
	deliveries := slices.Clone(from.deliveries)
	for _, cmd := range from.commands {
		t := vigil.Transition{Session: v, From: v.Version, Command: &cmd}
		deliveries = slices.DeleteFunc(deliveries, func(d vigil.Delivery) bool {
			own := d.CommandID == cmd.ID
			if own {
				t.Deliveries = append(t.Deliveries, d)
			}
			return own
		})
		if err := there(c.target.Transition(ctx, t)); err != nil {
			return err
		}
	}
	for i := range deliveries { // whose command is not kept: one by one, so that a repeat skips those that are there
		err := there(c.target.Transition(ctx, vigil.Transition{Session: v, From: v.Version, Deliveries: deliveries[i : i+1]}))
		if err != nil && vigil.CodeOf(err) != vigil.CodeConflict { // another version: reading back reports it
			return err
		}
	}
	for _, l := range from.chat {
		if err := there(c.target.AddChat(ctx, l)); err != nil {
			return err
		}
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
