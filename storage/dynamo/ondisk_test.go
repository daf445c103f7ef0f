package dynamo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil"
	"vigil/internal/testutil"
	migrations "vigil/migrations/dynamodb"
	"vigil/storage"
	"vigil/storage/dynamo"
)

// diskFile holds every kind of item, with all fields filled, as it lies in the tables. What is there
// was written by the first release. A change here is a change of what servers of other versions and
// backups have: an attribute may be added, none may get another name or another form.
const diskFile = "testdata/ondisk.json"

// diskNow is the time of all writes. It lies ahead so that the service removes nothing.
var diskNow = time.Date(2040, 1, 2, 3, 4, 5, 678e6, time.UTC)

// diskTime is another time for each n.
func diskTime(n int) time.Time { return diskNow.Add(time.Duration(n) * 1001 * time.Millisecond) }

func diskSpan(n int) time.Duration { return time.Duration(n) * 1001 * time.Millisecond }

// records is one of each kind, with all fields filled.
type records struct {
	Platform   vigil.Platform
	Deployment vigil.Deployment
	Link       vigil.Link
	Invitation vigil.Invitation
	Key        vigil.Key
	Record     vigil.Record
	Exam       vigil.Exam
	Session    vigil.Session
	Moved      vigil.Session // the same, changed by a transition
	Signal     vigil.Signal
	Incident   vigil.Incident
	Gap        vigil.Gap
	Command    vigil.Command
	Delivery   vigil.Delivery
	Chat       vigil.ChatLine
	Audit      vigil.Audit
	Checkpoint vigil.AuditCheckpoint
	Access     vigil.Access
	Erasure    vigil.Erasure
	Node       vigil.Node
}

func diskRecords() records {
	proctor := vigil.Actor{Role: vigil.RoleProctor, ID: "platform|proctor", Name: "Pat"}
	groups := []vigil.Group{{ID: "g1", Name: "Group 1", Hidden: true}}
	session := vigil.Session{
		ID: "session", ExamID: "exam", UserID: "user", Name: "Sam", Attempt: 3, Generation: 2, Previous: "before",
		PlatformID: "platform", DeploymentID: "deployment", ResourceLinkID: "resource", Plugin: true, Locale: "de-AT",
		ControlURL: "https://lms.example/control", ControlActions: []string{"pause", "resume"}, ReturnURL: "https://lms.example/back",
		Consents: []vigil.Consent{{Notice: "notice-1", At: diskTime(1)}},
		State:    vigil.StatePaused, Version: 7, Created: diskTime(2), Ready: diskTime(3), Started: diskTime(4), Ended: diskTime(5), Changed: diskTime(6),
		By: proctor, Reason: "why", PausedAt: diskTime(7), PauseAnswered: diskTime(8), PausedTotal: diskSpan(9),
		Pauses: []vigil.Pause{{From: diskTime(10), To: diskTime(11), ID: "pause", Answered: diskTime(12)}}, End: diskTime(13), EndSeen: diskTime(14),
		Grants: []vigil.Grant{{CommandID: "command", ID: "request", Time: diskSpan(15), Taken: diskSpan(16), State: vigil.GrantConfirmed, At: diskTime(17), Held: true, Own: true}},
		Carry:  diskSpan(18), DueAt: diskTime(19), Sent: diskTime(20), Opened: diskTime(21), Unwatched: diskTime(22), UnwatchedEnd: diskTime(23), UnwatchedRoom: true,
		Groups: groups, GroupsVersion: 24,
		Presence: vigil.Presence{
			Connection: vigil.ConnOnline, Since: diskTime(25), Heard: diskTime(26), Epoch: 27, Node: "node", Cause: vigil.CauseServer,
			Reports: diskTime(28), Watched: diskSpan(29),
		},
		Tally: vigil.Tally{Signals: 1, Incidents: 1, Open: 1, Severity: 0.75, LastKind: vigil.KindHidden, LastAt: diskTime(33), Hand: diskTime(34), Unread: 1},
		Monitor: vigil.Monitor{
			State: vigil.MonitorAnswers, Since: diskTime(35), Heard: diskTime(36), Pages: 37, Visible: diskSpan(38), Hidden: diskSpan(39),
			Focused: diskSpan(40), Focuses: 41, Given: 42,
		},
	}
	moved := session
	moved.ID, moved.Attempt, moved.Version = "moved", 4, session.Version+1
	moved.Tally = vigil.Tally{}
	signal := vigil.Signal{
		SessionID: "session", ExamID: "exam", Stream: "stream-0123456789", Seq: 43, Kind: vigil.KindHidden, Severity: 0.75, Incident: true,
		At: diskTime(32), Duration: diskSpan(44), Received: diskTime(33), Data: json.RawMessage(`{"length": 1}`),
	}
	incident := vigil.IncidentOf(signal)
	incident.Review, incident.Reviewer, incident.Note, incident.Reviewed, incident.Version = vigil.ReviewPending, proctor, "noted", diskTime(45), 1
	policy := vigil.Policy{
		Admission: true, Pause: true, Fullscreen: true, Attention: 0.5, Watch: []vigil.Watch{vigil.WatchFocus, vigil.WatchClipboard},
		LinkLoss: vigil.LinkLossAsk, LostTimeCap: 46, DurationMinutes: 47, EndMessage: true,
		Retention: vigil.Retention{Signals: 48, Chat: 49, Sessions: 50, Audit: 51}, Unwatched: vigil.UnwatchedHold,
	}
	return records{
		Platform: vigil.Platform{
			ID: "platform", Issuer: "https://lms.example", ClientID: "client", Name: "LMS", Family: "moodle", AuthorizationEndpoint: "https://lms.example/auth",
			TokenEndpoint: "https://lms.example/token", TokenAudience: "https://lms.example/aud", KeySetURL: "https://lms.example/certs",
			Scopes: []string{"scope-1", "scope-2"}, Plugin: 52, Private: true, State: vigil.PlatformActive, Created: diskTime(53), Updated: diskTime(54), Version: 55,
		},
		Deployment: vigil.Deployment{PlatformID: "platform", ID: "deployment", State: vigil.DeploymentActive, Created: diskTime(56)},
		Link:       vigil.Link{PlatformID: "platform", DeploymentID: "deployment", ResourceLinkID: "resource", ExamID: "exam", Created: diskTime(57)},
		Invitation: vigil.Invitation{Hash: "hash", Private: true, Review: true, Tries: 2, PlatformID: "platform", Created: diskTime(58), Expires: diskTime(59)},
		Key: vigil.Key{
			ID: "key", Use: vigil.KeyLTI, State: vigil.KeyActive, Sealed: []byte("sealed"), Public: []byte("public"), Created: diskTime(60),
			Since: diskTime(61), Version: 62,
		},
		Record: vigil.Record{Kind: "state", Key: "record", Value: []byte("value"), Expires: diskTime(63)},
		Exam: vigil.Exam{
			ID: "exam", Title: "Quiz", Issuer: "https://lms.example", ContextID: "course", Course: "Course", Policy: policy, Managed: true,
			Access: vigil.AccessSource{PlatformID: "platform", URL: "https://lms.example/access"}, Created: diskTime(64), Version: 65,
		},
		Session: session, Moved: moved, Signal: signal, Incident: incident,
		Gap: vigil.Gap{
			ID: "gap", SessionID: "session", ExamID: "exam", Start: diskTime(66), End: diskTime(67), Cause: vigil.CauseServer, Until: diskTime(68),
			Paused: diskSpan(69), Proposed: diskSpan(70), Decision: vigil.GapGranted, CommandID: "command", Version: 71,
		},
		Command: vigil.Command{
			ID: "command", SessionID: "moved", ExamID: "exam", Kind: vigil.CommandExtend, Text: "text", ReasonCode: "code", Time: diskSpan(72), Severity: 0.25,
			By: proctor, At: diskTime(73), Stage: vigil.StageRefused, Problem: "problem", Delivered: diskTime(74), Seen: diskTime(75),
			LMS: vigil.LMSAnswer{State: vigil.LMSRefused, Status: "status", Problem: "lms problem", At: diskTime(76)},
		},
		Delivery: vigil.Delivery{
			ID: "delivery", SessionID: "moved", ExamID: "exam", CommandID: "command", Version: 77, Action: vigil.ActionUpdate, ExtraMinutes: 78,
			IncidentTime: diskTime(79), Severity: 0.125, ReasonCode: "code", Reason: "reason", State: vigil.DeliveryWaiting, Tries: 80, Sent: true,
			Created: diskTime(81), NextTry: diskTime(82), LeaseOwner: "owner", LeaseEnds: diskTime(83),
		},
		Chat: vigil.ChatLine{
			ID: "line", SessionID: "session", ExamID: "exam", From: vigil.Actor{Role: vigil.RoleStudent, ID: "platform|user", Name: "Sam"},
			Text: "hello", Urgent: true, At: diskTime(84),
		},
		Audit: vigil.Audit{
			ID: "audit", ExamID: "exam", Sessions: []string{"session", "moved"}, Action: "command.pause", By: proctor, From: "192.0.2.1", Detail: "detail",
			At: diskTime(85), Chain: vigil.AuditChain{ID: "chain", Seq: 86, Prev: "prev", PrevAt: diskTime(87), Who: "who", Salt: "salt"},
		},
		Checkpoint: vigil.AuditCheckpoint{ExamID: "exam", Chain: "chain", Head: vigil.AuditHead{Seq: 88, Hash: "hash", At: diskTime(89)}, Signature: "signature"},
		Access: vigil.Access{
			ExamID: "exam", UserID: "proctor", Version: 90, At: diskTime(91), All: true, Groups: groups, Rights: []vigil.Right{vigil.RightWatch},
		},
		Erasure: vigil.Erasure{
			ID: "erasure", Salt: []byte("0123456789abcdef"), Hash: []byte("0123456789abcdef0123456789abcdef"), ExamID: "exam", Attempt: 92, At: diskTime(93),
		},
		Node: vigil.Node{ID: "node", Host: "host", Heard: diskTime(94), Schema: 1},
	}
}

// unfilled names what is zero in a value. What cannot be filled at the same time as the rest is named here.
func unfilled(path string, v reflect.Value) (out []string) {
	switch {
	case v.IsZero() && !strings.HasPrefix(path, ".Moved.Tally"):
		return []string{path}
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
		for i := range v.NumField() {
			out = append(out, unfilled(path+"."+v.Type().Field(i).Name, v.Field(i))...)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			out = append(out, unfilled(fmt.Sprintf("%s[%d]", path, i), v.Index(i))...)
		}
	}
	return out
}

// TestWhatIsOnDiskStaysAsItIs writes each kind of record and compares all attributes of the tables with those in the
// file; then it reads each from tables that hold what is in the file. VIGIL_WRITE=1 writes the file.
func TestWhatIsOnDiskStaysAsItIs(t *testing.T) {
	r := diskRecords()
	if missing := unfilled("", reflect.ValueOf(r)); missing != nil {
		t.Errorf("nothing is filled in for %v: a new field belongs in diskRecords, and then into %s", missing, diskFile)
	}
	prefix := migrated(t)
	raw, end := fullClient(t, server.URL)
	defer end()
	fixed := func(prefix string) *dynamo.Store {
		return open(t, dynamo.Config{Prefix: prefix, Client: raw, Now: func() time.Time { return diskNow }})
	}
	writeDisk(t, fixed(prefix), r)
	got := tablesJSON(t, raw, prefix)
	if os.Getenv("VIGIL_WRITE") != "" {
		testutil.OK(t, os.MkdirAll(filepath.Dir(diskFile), 0o755))
		testutil.OK(t, os.WriteFile(diskFile, got, 0o600))
	}
	want, err := os.ReadFile(diskFile)
	testutil.OK(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("what is written is not what %s holds: %s", diskFile, firstDifference(got, want))
	}

	prefix = migrated(t)
	fillTables(t, raw, prefix, want)
	for what, pair := range readDisk(t, fixed(prefix), r) {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: got\n%+v, want\n%+v", what, pair[0], pair[1])
		}
	}
}

func writeDisk(t *testing.T, s *dynamo.Store, r records) {
	ctx := t.Context()
	testutil.OK(t, s.CreatePlatform(ctx, r.Platform))
	testutil.OK(t, s.SaveDeployment(ctx, r.Deployment))
	testutil.OK(t, s.CreateInvitation(ctx, r.Invitation))
	testutil.OK(t, s.CreateKey(ctx, r.Key))
	testutil.OK(t, s.PutRecord(ctx, r.Record))
	testutil.OK(t, s.CreateExam(ctx, r.Exam))
	testutil.OK(t, s.CreateLink(ctx, r.Link))
	testutil.OK(t, s.CreateSession(ctx, r.Session))
	testutil.OK(t, s.SetHand(ctx, r.Session.ID, r.Session.Tally.Hand))
	before := vigil.Session{
		ID: r.Moved.ID, ExamID: r.Moved.ExamID, UserID: r.Moved.UserID, Attempt: r.Moved.Attempt, Generation: r.Moved.Generation, Previous: r.Moved.Previous,
		State: vigil.StateCreated, Version: r.Moved.Version - 1, Created: r.Moved.Created,
	}
	testutil.OK(t, s.CreateSession(ctx, before))
	testutil.OK(t, s.SetGroups(ctx, r.Moved.ID, r.Moved.Groups, r.Moved.GroupsVersion))
	testutil.OK(t, s.SetPresence(ctx, r.Moved.ID, r.Moved.Presence))
	testutil.OK(t, s.SetMonitor(ctx, r.Moved.ID, r.Moved.Monitor))
	_, err := s.AppendSignals(ctx, []vigil.Signal{r.Signal})
	testutil.OK(t, err)
	review := r.Incident
	review.Version--
	testutil.OK(t, s.UpdateIncident(ctx, review))
	testutil.OK(t, s.CreateGap(ctx, r.Gap))
	change := r.Gap
	change.ID, change.SessionID = "changed", "moved"
	fresh := vigil.Gap{ID: change.ID, SessionID: change.SessionID, ExamID: change.ExamID, Start: diskTime(1), Version: change.Version - 1}
	testutil.OK(t, s.CreateGap(ctx, fresh))
	change.Version--
	testutil.OK(t, s.Transition(ctx, vigil.Transition{
		Session: r.Moved, From: before.Version, Command: &r.Command, Gaps: []vigil.Gap{change}, Deliveries: []vigil.Delivery{r.Delivery},
	}))
	testutil.OK(t, s.UpdateCommand(ctx, r.Command))
	writeSparse(t, s)
	testutil.OK(t, s.SaveDelivery(ctx, r.Delivery, r.Delivery.LeaseOwner))
	testutil.OK(t, s.AddChat(ctx, r.Chat))
	testutil.OK(t, s.AppendAudit(ctx, r.Audit))
	testutil.OK(t, s.PutAuditCheckpoint(ctx, r.Checkpoint))
	testutil.OK(t, s.PutAccess(ctx, r.Access))
	testutil.OK(t, s.AddErasure(ctx, r.Erasure))
	testutil.OK(t, s.RenewNode(ctx, r.Node))
}

// writeSparse writes records in which as little as can be is filled in.
func writeSparse(t *testing.T, s *dynamo.Store) {
	ctx := t.Context()
	testutil.OK(t, s.CreateExam(ctx, vigil.Exam{ID: "sparse-exam", Policy: vigil.Policy{Watch: []vigil.Watch{}}}))
	v := vigil.Session{
		ID: "sparse", ExamID: "exam", Created: diskTime(1), Grants: []vigil.Grant{{}}, ControlActions: []string{"", "pause"},
		Presence: vigil.Presence{Node: "node"},
	}
	testutil.OK(t, s.CreateSession(ctx, v))
	_, err := s.AppendSignals(ctx, []vigil.Signal{{SessionID: v.ID, Stream: "s", Seq: 1, Received: diskTime(2)}})
	testutil.OK(t, err)
	v.Version = 1
	c := vigil.Command{ID: "sparse", ExamID: "exam"}
	testutil.OK(t, s.Transition(ctx, vigil.Transition{Session: v, Command: &c, Deliveries: []vigil.Delivery{{ID: "sparse"}}, NewGaps: []vigil.Gap{{ID: "sparse"}}}))
	testutil.OK(t, s.AppendAudit(ctx, vigil.Audit{ID: "sparse", At: diskTime(3), Sessions: []string{}}))
	testutil.OK(t, s.PutRecord(ctx, vigil.Record{Kind: "sparse", Value: []byte{}}))
}

// readDisk reads each record: what was got, and what was to be got.
func readDisk(t *testing.T, s *dynamo.Store, r records) map[string][2]any {
	ctx := t.Context()
	out := map[string][2]any{}
	see := func(what string, want any, got any, err error) {
		testutil.OK(t, err)
		out[what] = [2]any{got, want}
	}
	one := func(what string, want, list any, err error) {
		testutil.OK(t, err)
		if v := reflect.ValueOf(list); v.Len() == 1 {
			list = v.Index(0).Interface()
		}
		out[what] = [2]any{list, want}
	}
	platform, err := s.PlatformByClient(ctx, r.Platform.Issuer, r.Platform.ClientID)
	see("platform", r.Platform, platform, err)
	deployment, err := s.Deployment(ctx, "platform", "deployment")
	see("deployment", r.Deployment, deployment, err)
	link, err := s.Link(ctx, "platform", "deployment", "resource")
	see("link", r.Link, link, err)
	invitation, err := s.Invitation(ctx, "hash")
	see("invitation", r.Invitation, invitation, err)
	keys, err := s.Keys(ctx, r.Key.Use)
	one("key", r.Key, keys, err)
	record, err := s.GetRecord(ctx, r.Record.Kind, r.Record.Key, diskNow)
	see("record", r.Record, record, err)
	exam, err := s.Exam(ctx, "exam")
	see("exam", r.Exam, exam, err)
	session, err := s.Session(ctx, "session")
	see("session", r.Session, session, err)
	moved, err := s.Session(ctx, "moved")
	see("session after a transition", r.Moved, moved, err)
	signals, _, err := s.SignalsOfSession(ctx, "session", storage.Page{})
	one("signal", r.Signal, signals, err)
	incidents, _, err := s.IncidentsOfSession(ctx, "session", storage.Page{})
	one("incident", r.Incident, incidents, err)
	gaps, err := s.GapsOfSession(ctx, "session")
	one("gap", r.Gap, gaps, err)
	changed := r.Gap
	changed.ID, changed.SessionID = "changed", "moved"
	gaps, err = s.GapsOfSession(ctx, "moved")
	one("changed gap", changed, gaps, err)
	command, err := s.Command(ctx, "moved", "command")
	see("command", r.Command, command, err)
	deliveries, err := s.DeliveriesOfSession(ctx, "moved")
	one("delivery", r.Delivery, deliveries, err)
	lines, _, err := s.ChatOfSession(ctx, "session", storage.Page{})
	one("chat line", r.Chat, lines, err)
	entries, _, err := s.AuditOfExam(ctx, "exam", storage.Page{})
	one("audit entry", r.Audit, entries, err)
	checkpoints, err := s.AuditCheckpoints(ctx, "exam")
	one("audit checkpoint", r.Checkpoint, checkpoints, err)
	access, err := s.Access(ctx, "exam", "proctor")
	see("access record", r.Access, access, err)
	erasures, _, err := s.Erasures(ctx, storage.Page{})
	one("erasure", r.Erasure, erasures, err)
	nodes, err := s.Nodes(ctx)
	one("node", r.Node, nodes, err)
	return out
}

// random are attributes that are another text with each write: the note of a write, the marks of a tally's raises.
var random = regexp.MustCompile(`^(w|T[0-7])$`)

// tablesJSON is what two tables hold, item by item in the order of their keys, an attribute a line.
func tablesJSON(t *testing.T, c *dynamodb.Client, prefix string) []byte {
	out := map[string]map[string]map[string]string{}
	for table, name := range map[string]string{"main": migrations.Main(prefix), "records": migrations.Records(prefix)} {
		out[table] = map[string]map[string]string{}
		for p := dynamodb.NewScanPaginator(c, &dynamodb.ScanInput{TableName: &name}); p.HasMorePages(); {
			page, err := p.NextPage(context.WithoutCancel(t.Context()))
			testutil.OK(t, err)
			for _, it := range page.Items {
				attributes := map[string]string{}
				for name, a := range it {
					if random.MatchString(name) {
						a = &types.AttributeValueMemberS{Value: "random"}
					}
					raw, err := json.Marshal(attributeJSON(t, a))
					testutil.OK(t, err)
					attributes[name] = string(raw)
				}
				out[table][textOf(it["pk"])+" "+textOf(it["sk"])] = attributes
			}
		}
	}
	return []byte(object(out, "", func(items map[string]map[string]string) string {
		return object(items, "\t", func(attributes map[string]string) string {
			return object(attributes, "\t\t", func(attribute string) string { return attribute })
		})
	}) + "\n")
}

// object writes a map as JSON, a line for each key in order.
func object[V any](m map[string]V, indent string, value func(V) string) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		lines = append(lines, fmt.Sprintf("%s\t%q: %s", indent, name, value(m[name])))
	}
	return "{\n" + strings.Join(lines, ",\n") + "\n" + indent + "}"
}

// fillTables puts into tables what tablesJSON made.
func fillTables(t *testing.T, c *dynamodb.Client, prefix string, raw []byte) {
	var all map[string]map[string]map[string]any
	testutil.OK(t, json.Unmarshal(raw, &all))
	for table, name := range map[string]string{"main": migrations.Main(prefix), "records": migrations.Records(prefix)} {
		for _, it := range all[table] {
			in := map[string]types.AttributeValue{}
			for name, a := range it {
				in[name] = attributeOf(t, a)
			}
			_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: in})
			testutil.OK(t, err)
		}
	}
}

// attributeJSON writes an attribute as the service's own JSON does.
func attributeJSON(t *testing.T, a types.AttributeValue) any {
	switch a := a.(type) {
	case *types.AttributeValueMemberS:
		return map[string]any{"S": a.Value}
	case *types.AttributeValueMemberN:
		return map[string]any{"N": a.Value}
	case *types.AttributeValueMemberB:
		return map[string]any{"B": string(a.Value)} // texts, here
	case *types.AttributeValueMemberBOOL:
		return map[string]any{"BOOL": a.Value}
	case *types.AttributeValueMemberNULL:
		return map[string]any{"NULL": a.Value}
	case *types.AttributeValueMemberL:
		list := make([]any, len(a.Value))
		for i, v := range a.Value {
			list[i] = attributeJSON(t, v)
		}
		return map[string]any{"L": list}
	case *types.AttributeValueMemberM:
		m := map[string]any{}
		for name, v := range a.Value {
			m[name] = attributeJSON(t, v)
		}
		return map[string]any{"M": m}
	}
	t.Fatalf("got an attribute %T", a)
	return nil
}

// attributeOf reads what attributeJSON wrote.
func attributeOf(t *testing.T, v any) types.AttributeValue {
	for kind, v := range v.(map[string]any) {
		switch kind {
		case "S":
			return &types.AttributeValueMemberS{Value: v.(string)}
		case "N":
			return &types.AttributeValueMemberN{Value: v.(string)}
		case "B":
			return &types.AttributeValueMemberB{Value: []byte(v.(string))}
		case "BOOL":
			return &types.AttributeValueMemberBOOL{Value: v.(bool)}
		case "NULL":
			return &types.AttributeValueMemberNULL{Value: v.(bool)}
		case "L":
			l := &types.AttributeValueMemberL{}
			for _, e := range v.([]any) {
				l.Value = append(l.Value, attributeOf(t, e))
			}
			return l
		case "M":
			m := &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{}}
			for name, e := range v.(map[string]any) {
				m.Value[name] = attributeOf(t, e)
			}
			return m
		}
	}
	t.Fatalf("got %v, want an attribute", v)
	return nil
}

// firstDifference shows the first line in which two texts differ, with the lines before it.
func firstDifference(got, want []byte) string {
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d: after\n%s\ngot %s, want %s", i+1, strings.Join(g[max(0, i-8):i], "\n"), g[i], w[i])
		}
	}
	return fmt.Sprintf("got %d lines, want %d", len(g), len(w))
}
