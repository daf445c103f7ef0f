package realtime_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"vigil"
	"vigil/realtime"
)

// page reads docs/protocol.md.
func page(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// section returns the page's part under a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page(t), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("docs/protocol.md has no %q", heading)
	}
	level, _, _ := strings.Cut(heading, " ")
	for l := len(level); l > 1; l-- {
		rest, _, _ = strings.Cut(rest, "\n"+strings.Repeat("#", l)+" ")
	}
	return rest
}

var code = regexp.MustCompile("`([a-z0-9_]+)`")

// firstCells returns the code words in the first cell of each row of a section's table.
func firstCells(t *testing.T, heading string) []string {
	t.Helper()
	var out []string
	for line := range strings.SplitSeq(section(t, heading), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, m := range code.FindAllStringSubmatch(cells[1], -1) {
			out = append(out, m[1])
		}
	}
	return out
}

func same[T ~string](t *testing.T, what string, got []string, want ...T) {
	t.Helper()
	w := make([]string, 0, len(want))
	for _, v := range want {
		w = append(w, string(v))
	}
	slices.Sort(got)
	slices.Sort(w)
	if !slices.Equal(got, w) {
		t.Errorf("%s: docs/protocol.md has %v, the code %v", what, got, w)
	}
}

func TestThePageNamesTheTypes(t *testing.T) {
	t.Parallel()
	same(t, "student up", firstCells(t, "### Student → server"),
		realtime.TypeHello, realtime.TypeSignal, realtime.TypeChat, realtime.TypeSeen, realtime.TypeBye, realtime.TypeTime,
		realtime.TypeAlive)
	same(t, "student down", firstCells(t, "### Server → student"),
		realtime.TypeWelcome, realtime.TypeAck, realtime.TypeCommand, realtime.TypeState, realtime.TypeTime, realtime.TypeChat,
		realtime.TypeHand, realtime.TypeToken, realtime.TypeNotice, realtime.TypeError, realtime.TypeAlive, realtime.TypeReceipt)
	same(t, "proctor up", firstCells(t, "### Proctor → server"),
		realtime.TypeSubscribe, realtime.TypeCommand, realtime.TypeLostTime, realtime.TypeChat, realtime.TypeSeen, realtime.TypeTime, realtime.TypeBye)
	same(t, "proctor down", firstCells(t, "### Server → proctor"),
		realtime.TypeWelcome, realtime.TypeSnapshot, realtime.TypeSession, realtime.TypeSignal, realtime.TypeGap, realtime.TypeProgress,
		realtime.TypeChat, realtime.TypeTime, realtime.TypeToken, realtime.TypeNotice, realtime.TypeError, realtime.TypePulse, realtime.TypeAccess)
	same(t, "rights", firstCells(t, "### Groups and rights"), vigil.Rights...)
}

func TestThePageNamesTheSignals(t *testing.T) {
	t.Parallel()
	same(t, "signals", firstCells(t, "## Signals"), vigil.Kinds()...)
	for line := range strings.SplitSeq(section(t, "## Signals"), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, m := range code.FindAllStringSubmatch(cells[1], -1) {
			k := vigil.Kind(m[1])
			group := strings.Trim(cells[2], " `")
			want := string(k.WatchOf())
			switch {
			case k.FromServer():
				want = "server"
			case want == "":
				want = "always"
			}
			if group != want {
				t.Errorf("group of %s: docs/protocol.md has %q, the code %q", k, group, want)
			}
			for _, field := range k.Fields() {
				if !strings.Contains(strings.Join(cells[3:], "|"), "`"+field+"`") {
					t.Errorf("data of %s: docs/protocol.md does not name %s", k, field)
				}
			}
		}
	}
}

func TestThePageNamesTheStatesAndTheCauses(t *testing.T) {
	t.Parallel()
	same(t, "states", firstCells(t, "## States"), vigil.States...)
	same(t, "causes", firstCells(t, "## Liveness"), vigil.CauseStudent, vigil.CauseServer, vigil.CauseLMS, vigil.CauseUnclear, vigil.CauseNavigation)
}

func TestThePageNamesTheCloseCodes(t *testing.T) {
	t.Parallel()
	text := section(t, "## Close codes")
	row := regexp.MustCompile(`(?m)^\| ([0-9, ]+) \| [^|]+ \| (retry|renew|stop)`)
	got := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		for c := range strings.SplitSeq(m[1], ",") {
			got[strings.TrimSpace(c)] = m[2]
		}
	}
	if len(got) != len(realtime.CloseDuty) {
		t.Errorf("close codes: docs/protocol.md has %v, the code %v", got, realtime.CloseDuty)
	}
	for c, duty := range realtime.CloseDuty {
		if got[fmt.Sprint(int(c))] != string(duty) {
			t.Errorf("duty of %d: docs/protocol.md has %q, the code %q", c, got[fmt.Sprint(int(c))], duty)
		}
		if c > 4009 && c < 5000 && c != websocket.StatusCode(0) {
			t.Errorf("close code %d is not in the range of the page", c)
		}
	}
}

func TestThePageNamesTheErrorsAndTheRest(t *testing.T) {
	t.Parallel()
	errs := section(t, "## Errors")
	for _, c := range []vigil.Code{
		vigil.CodeInvalid, vigil.CodeUnauthorized, vigil.CodeForbidden, vigil.CodeNotFound, vigil.CodeExists,
		vigil.CodeConflict, vigil.CodeIllegal, vigil.CodeTooMany, vigil.CodeUnavailable, vigil.CodeInternal,
	} {
		if !strings.Contains(errs, "`"+string(c)+"`") {
			t.Errorf("docs/protocol.md does not name the error %s", c)
		}
	}
	all := page(t)
	var words []string
	for _, n := range []realtime.NoticeKind{realtime.NoticeSaving, realtime.NoticeDrain, realtime.NoticeBehind, realtime.NoticeRelay} {
		words = append(words, string(n))
	}
	for _, s := range []vigil.Stage{vigil.StageQueued, vigil.StageDelivered, vigil.StageSeen, vigil.StageDone, vigil.StageRefused} {
		words = append(words, string(s))
	}
	for _, s := range []vigil.LMSState{vigil.LMSNone, vigil.LMSWaiting, vigil.LMSAccepted, vigil.LMSRefused, vigil.LMSFailed, vigil.LMSUnknown} {
		words = append(words, string(s))
	}
	for _, b := range []vigil.ByeReason{vigil.ByeNavigating, vigil.ByeClosing, vigil.ByeFinished} {
		words = append(words, string(b))
	}
	for _, w := range words {
		if !strings.Contains(all, "`"+w+"`") {
			t.Errorf("docs/protocol.md does not name %s", w)
		}
	}
	for _, fact := range []string{
		fmt.Sprintf("%d KiB a frame", realtime.MaxMessage>>10), fmt.Sprintf("up to %d.", realtime.MaxBatch),
		fmt.Sprintf("at most %d deep", realtime.MaxDepth), "`" + realtime.Subprotocol + "`", realtime.TokenSubprotocol,
		"`" + realtime.CheckReason + "`", realtime.CheckSubprotocol,
	} {
		if !strings.Contains(all, fact) {
			t.Errorf("docs/protocol.md does not say %q", fact)
		}
	}
	rates := section(t, "## Rates")
	for ty, r := range realtime.DefaultRates() {
		want := fmt.Sprintf("`%s` %d, %v", ty, r.Burst, r.PerSecond)
		if ty == "" {
			want = fmt.Sprintf("others %d, %v", r.Burst, r.PerSecond)
		}
		if !strings.Contains(strings.Join(strings.Fields(rates), " "), want) {
			t.Errorf("docs/protocol.md does not say %q", want)
		}
	}
}
