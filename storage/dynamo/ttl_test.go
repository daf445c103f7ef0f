package dynamo_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil"
	"vigil/internal/testutil"
	migrations "vigil/migrations/dynamodb"
	"vigil/storage/dynamo"
)

// TestWhatExpiresIsRemovedByTheServiceNotBeforeItsTime looks at the items themselves:
// what may go has a time from which the service removes it, which is never before the
// time until which readers show it; what stays has none.
func TestWhatExpiresIsRemovedByTheServiceNotBeforeItsTime(t *testing.T) {
	prefix := migrated(t)
	s := open(t, dynamo.Config{Prefix: prefix})
	ctx, now := t.Context(), time.Now().UTC().Truncate(time.Millisecond)
	p := vigil.Platform{ID: newID(), Issuer: "https://lms.example", ClientID: "c", State: vigil.PlatformActive, Created: now, Version: 1}
	testutil.OK(t, s.CreatePlatform(ctx, p))
	testutil.OK(t, s.SaveDeployment(ctx, vigil.Deployment{PlatformID: p.ID, ID: "1", Created: now}))
	testutil.OK(t, s.CreateKey(ctx, vigil.Key{ID: "kid", Use: vigil.KeyLTI, Created: now, Version: 1}))
	testutil.OK(t, s.CreateInvitation(ctx, vigil.Invitation{Hash: "hash", Created: now, Expires: now.Add(time.Hour)}))
	e := vigil.Exam{ID: newID(), Issuer: p.Issuer, ContextID: "c", Policy: vigil.DefaultPolicy(), Created: now, Version: 1}
	e.Access = vigil.AccessSource{PlatformID: p.ID, URL: "https://lms.example/access"}
	e.Policy.Retention = vigil.Retention{Signals: 10, Chat: 20, Sessions: 30, Audit: 40}
	testutil.OK(t, s.CreateExam(ctx, e))
	testutil.OK(t, s.CreateLink(ctx, vigil.Link{PlatformID: p.ID, DeploymentID: "1", ResourceLinkID: "17", ExamID: e.ID, Created: now}))
	v := newSession(e, "user")
	v.Created, v.Changed = now, now
	testutil.OK(t, s.CreateSession(ctx, v))
	incident := signal(v, 2)
	incident.Incident, incident.Severity = true, 0.6
	_, err := s.AppendSignals(ctx, []vigil.Signal{signal(v, 1), incident})
	testutil.OK(t, err)
	testutil.OK(t, s.CreateGap(ctx, vigil.Gap{ID: newID(), SessionID: v.ID, ExamID: e.ID, Start: now}))
	c := vigil.Command{ID: newID(), SessionID: v.ID, ExamID: e.ID, Kind: vigil.CommandPause, At: now}
	d := vigil.Delivery{ID: newID(), SessionID: v.ID, ExamID: e.ID, CommandID: c.ID, State: vigil.DeliveryWaiting, NextTry: now}
	v.Version++
	testutil.OK(t, s.Transition(ctx, vigil.Transition{Session: v, From: v.Version - 1, Command: &c, Deliveries: []vigil.Delivery{d}}))
	testutil.OK(t, s.SetPresence(ctx, v.ID, vigil.Presence{Connection: vigil.ConnOnline, Heard: now, Node: "n"}))
	testutil.OK(t, s.AddChat(ctx, vigil.ChatLine{ID: newID(), SessionID: v.ID, ExamID: e.ID, Text: "?", At: now}))
	testutil.OK(t, s.AppendAudit(ctx, vigil.Audit{ID: newID(), ExamID: e.ID, Action: "look", At: now}))
	testutil.OK(t, s.PutAccess(ctx, vigil.Access{ExamID: e.ID, UserID: "told once", Version: 1, At: now}))
	for _, at := range []time.Time{now.Add(-time.Hour), now} {
		testutil.OK(t, s.PutAccess(ctx, vigil.Access{ExamID: e.ID, UserID: "told again", Version: 1, At: at}))
	}
	testutil.OK(t, s.RenewNode(ctx, vigil.Node{ID: "n", Heard: now}))
	testutil.OK(t, s.Ping(ctx))
	testutil.OK(t, s.PutRecord(ctx, vigil.Record{Kind: "state", Key: "k", Expires: now.Add(time.Minute)}))
	testutil.OK(t, s.PutRecord(ctx, vigil.Record{Kind: "stays", Key: "k"}))

	const day = 24 * time.Hour
	never := time.Duration(-1)
	rules := []struct {
		table, pk, sk string // prefixes of the keys
		least         time.Duration
	}{
		{"main", "p#", "", never},
		{"main", "pc#", "", never},
		{"main", "platforms", "", never},
		{"main", "keys", "", never},
		{"main", "x#", "", never},
		{"main", "i#", "", time.Hour},
		{"main", "nodes", "", day},
		{"main", "ping#", "", time.Minute},
		{"main", "s#", "a", 30 * day},
		{"main", "s#", "b", 30 * day},
		{"main", "u#", "", 30 * day},
		{"main", "xs#", "", 30 * day},
		{"main", "s#", "g#stream-0123456789#0000000000000001", 10 * day},
		{"main", "s#", "g#stream-0123456789#0000000000000002", 30 * day},
		{"main", "s#", "p#", 30 * day},
		{"main", "s#", "c#", 30 * day},
		{"main", "s#", "d#", 30 * day},
		{"main", "s#", "m#", 20 * day},
		{"main", "xa#", "", 40 * day},
		{"main", "ua#", "", vigil.AccessKept},
		{"records", "r#state", "", time.Minute},
		{"records", "r#stays", "", never},
	}
	raw, end := fullClient(t, server.URL)
	defer end()
	seen := map[int]bool{}
	for table, name := range map[string]string{"main": migrations.Main(prefix), "records": migrations.Records(prefix)} {
		out, err := raw.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String(name)}) // a test may
		testutil.OK(t, err)
		for _, it := range out.Items {
			pk, sk, rule := textOf(it["pk"]), textOf(it["sk"]), -1
			for i, r := range rules {
				if r.table == table && strings.HasPrefix(pk, r.pk) && strings.HasPrefix(sk, r.sk) {
					rule = i
				}
			}
			if rule < 0 {
				t.Errorf("%s %s: nothing is said of such an item", pk, sk)
				continue
			}
			seen[rule] = true
			n, has := it["ttl"].(*types.AttributeValueMemberN)
			if least := rules[rule].least; (least != never) != has {
				t.Errorf("%s %s: got a time of removal %v, want %v", pk, sk, has, least != never)
			} else if has {
				seconds, err := strconv.ParseInt(n.Value, 10, 64)
				testutil.OK(t, err)
				if at := time.Unix(seconds, 0); at.Before(now.Add(least)) || at.After(now.Add(least+60*day)) {
					t.Errorf("%s %s: got removed from %v, want within 60 days after %v", pk, sk, at, now.Add(least))
				}
			}
		}
	}
	for i, r := range rules {
		if !seen[i] {
			t.Errorf("%s %s%s: no such item was stored", r.table, r.pk, r.sk)
		}
	}
}

func textOf(a types.AttributeValue) string {
	if s, ok := a.(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}
