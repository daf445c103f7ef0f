//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"vigil/internal/testutil"
)

// usual are the rates that --help tells.
var usual = Rates{
	PageLeast: 30 * time.Second, PageMost: 90 * time.Second, Signals: 12, Hands: 0.02, Chats: 0.02, Drops: 0.01, Away: 0.2,
	Messages: 5 * time.Minute, Details: time.Minute,
}

// tally counts events by what is done.
func tally(events []event) map[deed]int {
	out := map[deed]int{}
	for _, e := range events {
		out[e.deed]++
	}
	return out
}

func TestTheSameSeedMakesTheSameDay(t *testing.T) {
	for _, phase := range []Phase{PhaseArrive, PhaseSteady, PhaseOutage, PhaseHandIn} {
		first := plan(7, phase, usual, 5*time.Minute, []int{60, 40}, 2)
		if again := plan(7, phase, usual, 5*time.Minute, []int{60, 40}, 2); !reflect.DeepEqual(first, again) {
			t.Errorf("%s: got another day from the same seed", phase)
		}
		if other := plan(8, phase, usual, 5*time.Minute, []int{60, 40}, 2); phase != PhaseOutage && reflect.DeepEqual(first, other) {
			t.Errorf("%s: got the same day from another seed", phase)
		}
		if !slices.IsSortedFunc(first, func(a, b event) int { return int(a.at - b.at) }) {
			t.Errorf("%s: got events out of order", phase)
		}
	}
}

func TestADayHasTheRatesThatItIsGiven(t *testing.T) {
	const students = 1000
	exams := []int{400, 600}
	const hour = time.Hour
	got := tally(plan(1, PhaseSteady, usual, hour, exams, 2))
	near := func(name string, got int, want, off float64) {
		t.Helper()
		if float64(got) < want*(1-off) || float64(got) > want*(1+off) {
			t.Errorf("%s: got %d, want about %.0f", name, got, want)
		}
	}
	near("page turns", got[deedTurn], students*60, 0.03)
	near("signals", got[deedSignal]+got[deedAway], students*12, 0.05)
	near("incidents", got[deedAway], students, 0.15)
	near("details", got[deedDetails], 2*2*60, 0.03)
	near("messages", got[deedMessage], 2*2*12, 0.1)
	for name, pair := range map[string][2]int{
		"hands": {got[deedHand], 20}, "lines": {got[deedChat], 20}, "drops": {got[deedDrop], 10}, "answers": {got[deedAnswer], 40},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %d, want %d", name, pair[0], pair[1])
		}
	}
	if n := tally(plan(1, PhaseOutage, usual, time.Minute, exams, 2))[deedOut]; n != students/5 {
		t.Errorf("out: got %d, want %d", n, students/5)
	}
}

func TestEverybodyComesAndHandsInOnceWithinThePhase(t *testing.T) {
	for phase, what := range map[Phase]deed{PhaseArrive: deedStart, PhaseHandIn: deedHandIn} {
		const long = 3 * time.Minute
		seen := map[int]int{}
		for _, e := range plan(3, phase, usual, long, []int{50, 50}, 2) {
			if e.deed == what {
				seen[e.student]++
			}
			if e.at < 0 || e.at+e.wait > long {
				t.Errorf("%s: got an event at %v with a wait of %v, want both within %v", phase, e.at, e.wait, long)
			}
		}
		if len(seen) != 100 {
			t.Errorf("%s: got %d students, want 100", phase, len(seen))
		}
		for s, n := range seen {
			if n != 1 {
				t.Errorf("%s: student %d comes %d times, want once", phase, s, n)
			}
		}
	}
}

func TestProctorsLookOnlyAtStudentsOfTheirExam(t *testing.T) {
	exams := []int{10, 30, 5}
	bounds := map[bool]int{}
	for _, e := range plan(5, PhaseSteady, usual, 10*time.Minute, exams, 3) {
		if e.deed == deedMessage || e.deed == deedDetails {
			if e.student < 0 || e.student >= 45 || e.proctor < 0 || e.proctor >= 3 {
				t.Errorf("got %+v, want a student and a proctor that there are", e)
			}
			bounds[e.student >= 40]++
		}
	}
	if bounds[true] == 0 || bounds[false] == 0 {
		t.Errorf("got %v, want something in the last exam and in the others", bounds)
	}
}

func TestARunWhoseLoadUsedMostOfItsProcessorsIsVoid(t *testing.T) {
	for _, c := range []struct {
		used, took time.Duration
		cores      int
		share      float64
		void       bool
	}{
		{9 * time.Second, 10 * time.Second, 1, 0.9, false},
		{9100 * time.Millisecond, 10 * time.Second, 1, 0.91, true},
		{10 * time.Second, 10 * time.Second, 2, 0.5, false},
		{19 * time.Second, 10 * time.Second, 2, 0.95, true},
	} {
		share, why := overload(c.used, c.took, c.cores)
		if math.Abs(share-c.share) > 1e-9 || (why != "") != c.void {
			t.Errorf("%v of %v on %d: got %v, %q; want %v, void %v", c.used, c.took, c.cores, share, why, c.share, c.void)
		}
	}
	run := &dayRun{Void: "because", Students: 1, Hours: 1}
	if err := run.verdict(); err != errVoid { //nolint:errorlint // it is that one
		t.Errorf("got %v, want that it is void", err)
	}
}

func TestProcessorsOfAListAreCounted(t *testing.T) {
	for list, want := range map[string]int{"": 0, "0": 1, "0-3": 4, "0-1,4,6-7": 5, "x": 0} {
		if got := coresOf(list); got != want {
			t.Errorf("%q: got %d, want %d", list, got, want)
		}
	}
}

func TestOnlyTheSteadyPhaseIsStretchedToTheWholeExam(t *testing.T) {
	reads := func(n float64) *float64 { return &n }
	phases := []*dayPhase{
		{Name: PhaseArrive, Seconds: 180, Used: cost{ServerCPU: 10, StoreReads: reads(100)}},
		{Name: PhaseSteady, Seconds: 600, Used: cost{ServerCPU: 6, StoreReads: reads(60)}},
		{Name: PhaseHandIn, Seconds: 120, Used: cost{ServerCPU: 5, StoreReads: reads(40)}},
	}
	// Two hours are 7200 s, of which 6900 are steady: 11.5 times what was measured.
	got := perStudentHour(phases, 50, 2)
	if want := (10 + 5 + 6*11.5) / 100; got.ServerCPU != want {
		t.Errorf("got %v s, want %v", got.ServerCPU, want)
	}
	if want := (100 + 40 + 60*11.5) / 100; got.StoreReads == nil || *got.StoreReads != want {
		t.Errorf("got %v units, want %v", got.StoreReads, want)
	}
	if got.StoreWrites != nil {
		t.Errorf("got %v written units, want none: they were not measured", *got.StoreWrites)
	}
}

// exampleRun is a run with everything in it.
func exampleRun() *dayRun {
	units := 4.0
	r := &dayRun{
		System: systemVigil, Store: "sqlite", Students: 100, Exams: 2, Proctors: 2, Nodes: 1, Workers: 1, Seed: 1, Rates: usual, Hours: 2, Memory: 50 << 20, LoadShare: 0.5,
		Phases: []*dayPhase{
			{Name: PhaseArrive, Seconds: 180, Used: cost{ServerCPU: 1, StoreWrites: &units}, Latency: map[string]spread{latencyOpening: {Count: 100, P50: 5, P99: 90, Max: 120}}},
			{Name: PhaseSteady, Seconds: 600, Used: cost{ServerCPU: 1, StoreWrites: &units}, Latency: map[string]spread{latencyCommand: {Count: 9, P50: 2, P99: 30, Max: 31}}},
		},
	}
	r.finish()
	return r
}

func TestAnExamIsTooLargeByOpeningsCommandsOrLosses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*dayRun)
		want  string
	}{
		"all is well": {func(*dayRun) {}, ""},
		"opening at the bound": {func(r *dayRun) {
			r.Phases[0].Latency[latencyOpening] = spread{Count: 1, P99: 250}
		}, ""},
		"slow opening": {func(r *dayRun) {
			r.Phases[0].Latency[latencyOpening] = spread{Count: 1, P99: 251}
		}, "p99 of opening"},
		"slow command": {func(r *dayRun) {
			r.Phases[1].Latency[latencyCommand] = spread{Count: 1, P99: 1001}
		}, "p99 of a command"},
		"a loss": {func(r *dayRun) { r.Phases[1].Lost.Commands = 2 }, "steady: 2 commands"},
	} {
		r := exampleRun()
		c.spoil(r)
		if got := r.over(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestWhatWasLostIsInTheTableAndEndsTheRunWithAnError(t *testing.T) {
	r := exampleRun()
	if err := r.verdict(); err != nil {
		t.Errorf("got %v, want none", err)
	}
	r.Phases[1].Lost.Lines, r.Void = 3, ""
	r.finish()
	if err := r.verdict(); err != errFailed { //nolint:errorlint // it is that one
		t.Errorf("got %v, want that the checks failed", err)
	}
	var b bytes.Buffer
	testutil.OK(t, r.print(&b))
	for _, want := range []string{"LOST: steady: lines did not come: 3", "store write units", "arrival", "opening", "120"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("got\n%s\nwant %q in it", &b, want)
		}
	}
}

func TestTheFileHasTheNamesThatOtherProgramsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "day.json")
	testutil.OK(t, (&dayFile{Format: dayFormat, Machine: map[string]string{"cpus": "2"}, Runs: []*dayRun{exampleRun()}, Largest: &largest{Students: 100, Cores: 1}}).write(path))
	b, err := os.ReadFile(path)
	testutil.OK(t, err)
	var got map[string]any
	testutil.OK(t, json.Unmarshal(b, &got))
	for _, want := range []string{
		"format", "machine.cpus", "largest.students", "largest.server_cores", "runs.0.system", "runs.0.students", "runs.0.nodes", "runs.0.store", "runs.0.hours", "runs.0.memory_bytes",
		"runs.0.load_share", "runs.0.lost", "runs.0.per_student_hour.server_cpu_s", "runs.0.per_student_hour.redis_commands", "runs.0.per_student_hour.store_write_units",
		"runs.0.per_student_hour.messages_up", "runs.0.per_student_hour.messages_down", "runs.0.per_student_hour.bytes_down", "runs.0.phases.0.name", "runs.0.phases.0.seconds",
		"runs.0.phases.0.used.server_cpu_s", "runs.0.phases.0.latency.opening.p99_ms", "runs.0.phases.0.lost.signals_not_acknowledged",
	} {
		var at any = got
		for name := range strings.SplitSeq(want, ".") {
			switch v := at.(type) {
			case map[string]any:
				at = v[name]
			case []any:
				at = v[name[0]-'0']
			}
		}
		if at == nil {
			t.Errorf("got no %s in\n%s", want, b)
		}
	}
	if _, there := got["runs"].([]any)[0].(map[string]any)["per_student_hour"].(map[string]any)["store_read_units"]; there {
		t.Error("got read units, want none: they were not measured")
	}
}

func TestTheSearchEndsBetweenWhatHoldsAndWhatDoesNot(t *testing.T) {
	for _, limit := range []float64{0, 90, 777, 20_000} {
		c := climb{rate: 500, within: 0.1}
		tries := 0
		for ; !c.done() && tries < 100; tries++ {
			c.took(c.rate <= limit)
		}
		if c.good > limit || c.bad <= limit || c.good > 0 && c.bad-c.good > 0.1*c.bad || tries > 30 {
			t.Errorf("limit %v: got %+v after %d tries, want the limit between them", limit, c, tries)
		}
	}
}

func TestUnitsOfTheStoreAreCountedByReadsAndWrites(t *testing.T) {
	m := &meter{}
	for _, c := range []struct{ target, body string }{
		{"DynamoDB_20120810.GetItem", `{"ConsumedCapacity":{"TableName":"a","CapacityUnits":1.5},"Item":{}}`},
		{"DynamoDB_20120810.BatchGetItem", `{"ConsumedCapacity":[{"CapacityUnits":2},{"CapacityUnits":1}]}`},
		{"DynamoDB_20120810.TransactWriteItems", `{"ConsumedCapacity":[{"CapacityUnits":4}]}`},
		{"DynamoDB_20120810.PutItem", `{"ConsumedCapacity":{"CapacityUnits":3}}`},
		{"DynamoDB_20120810.PutItem", `{}`},
		{"DynamoDB_20120810.PutItem", `"ConsumedCapacity" is no JSON`},
	} {
		m.count(c.target, []byte(c.body))
	}
	if read, write := m.units(); read != 4.5 || write != 7 {
		t.Errorf("got %v read and %v written, want 4.5 and 7", read, write)
	}
}

func TestAHelloTellsThePageAndItsStampOnAnExamDay(t *testing.T) {
	s := &student{stream: "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
	if got, want := string(s.hello()), `{"t":"hello","stream":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","next":1,"page":1}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	s.box.give(mark{})
	s.desk.turn("a.b.c", time.Second)
	s.desk.turn("d.e.f", 2*time.Second)
	if got, want := string(s.hello()), `{"t":"hello","stream":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","next":2,"page":2,"stamp":"d.e.f","can":["alive"]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := s.desk.alive("x", 1, 5*time.Second); got.Visible != 3000 || got.Pages != 2 || got.Given != 1 {
		t.Errorf("got %+v, want three seconds of the second page", got)
	}
}

func TestACommandIsTimedFromTheOpeningOfThePageThatBroughtIt(t *testing.T) {
	d := newDay()
	s := &student{}
	d.put("a", &order{at: time.Second, to: s, command: true})
	d.put("b", &order{at: 10 * time.Second, to: s, command: true})
	d.put("c", &order{at: time.Second, to: &student{}, command: true})
	s.desk.opened.Store(int64(5 * time.Second))
	d.reached("a", s, nil, 6*time.Second)
	d.reached("a", s, nil, 60*time.Second) // it came again
	d.reached("b", s, nil, 12*time.Second)
	d.reached("c", s, nil, 12*time.Second) // another's
	got := merged(d.commanded.export())
	if got.Count != 2 || got.P50 < 999 || got.P50 > 1001 || got.Max < 1999 || got.Max > 2001 {
		t.Errorf("got %+v, want one second and two", got)
	}
	if commands, _ := d.undone(); commands != 3 {
		t.Errorf("got %d that are not done, want 3: nobody confirmed any", commands)
	}
}

func TestAMutedSocketReadsAndSendsNothingMore(t *testing.T) {
	s, err := dialTest(t, muteServer)
	testutil.OK(t, err)
	var got []string
	err = s.read(func(msg []byte) {
		got = append(got, string(msg))
		s.muted.Store(true)
		testutil.OK(t, s.send(opText, []byte("not sent")))
	})
	if err == nil || len(got) != 1 || got[0] != "first" {
		t.Errorf("got %v and %v, want the first message and the end", got, err)
	}
	s.cut(false)
}

func TestADayThatMakesNoSenseIsRefused(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--page-least 2m", "--page-most"},
		{"--drops 2", "are shares"},
		{"--steady 1ms", "at least 1s"},
		{"--find --peers", "leave out --peers"},
		{"--hours 0", "--hours"},
		{"--find --within 2", "--within"},
	} {
		var errs bytes.Buffer
		if code := run(t.Context(), append([]string{"day", "--vigil", "/nowhere"}, strings.Fields(c.args)...), io.Discard, &errs); code != 1 || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s: got %d, %s; want 1, %q", c.args, code, &errs, c.want)
		}
	}
}

// dayArgs are a short day with everything in it.
func dayArgs(t *testing.T, more ...string) (args []string, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "day.json")
	return append([]string{
		"day", "--vigil", built(t), "--students", "8", "--exams", "2", "--arrive", "2s", "--steady", "4s", "--outage", "4s", "--hand-in", "1s",
		"--page-least", "1500ms", "--page-most", "2500ms", "--signals", "900", "--hands", "0.2", "--chats", "0.2", "--drops", "0.1", "--messages", "2s", "--details", "2s",
		"--server-cpus", "none", "--out", t.TempDir(), "--json", file,
	}, more...), file
}

func TestAnExamDayOfEightStudentsIsMeasuredAndLosesNothing(t *testing.T) {
	args, file := dayArgs(t)
	if code := run(t.Context(), args, writer{t}, writer{t}); code != 0 {
		t.Fatalf("got exit code %d, want 0", code)
	}
	b, err := os.ReadFile(file)
	testutil.OK(t, err)
	var got dayFile
	testutil.OK(t, json.Unmarshal(b, &got))
	if len(got.Runs) != 1 || got.Format != dayFormat {
		t.Fatalf("got %s, want one run", b)
	}
	r := got.Runs[0]
	if r.PerStudentHour.ServerCPU <= 0 || r.PerStudentHour.MessagesUp <= 0 || r.Memory <= 0 || len(r.Lost) > 0 {
		t.Errorf("got %+v, lost %v; want figures, and nothing lost", r.PerStudentHour, r.Lost)
	}
	for phase, names := range map[Phase][]string{
		PhaseArrive: {latencyLaunch, latencyCheckIn, latencyOpening},
		PhaseSteady: {latencyOpening, latencyTurn, latencySignal, latencyStored, latencyCommand, latencySeen, latencyChat, latencyDetails},
		PhaseOutage: {latencyReturn}, PhaseKill: {latencyReturn}, PhaseHandIn: {latencyHandIn},
	} {
		for _, name := range names {
			if s := r.phase(phase).Latency[name]; s.Count == 0 {
				t.Errorf("%s: got no %s, want some", phase, name)
			}
		}
	}
	if n := r.phase(PhaseArrive).Latency[latencyOpening].Count; n != 8 {
		t.Errorf("got %d first pages, want 8", n)
	}
	if n := r.phase(PhaseHandIn).Latency[latencyHandIn].Count; n != 16 {
		t.Errorf("got %d ends shown, want 8 to two proctors each", n)
	}
}

func TestPlainGoBringsEverySignalToDashboardsOfAllNodes(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("there is no redis-server")
	}
	ctx := t.Context()
	r, err := newRig(ctx, common{Nodes: 2, AtOnce: 4, ServerCPUs: "none"}, size{4, 2, 2}, systemFloor, t.Logf)
	testutil.OK(t, err)
	defer func() { testutil.OK(t, r.close()) }()
	testutil.OK(t, r.up(ctx, ConnectArgs{}))
	s, err := r.run(ctx, 20, 0, time.Second)
	testutil.OK(t, errors.Join(err, r.down(ctx)))
	if s.verdict.bad() > 0 || s.verdict.Expected != 40 {
		t.Errorf("got %+v, want 20 signals at two proctors each", s.verdict)
	}
}
