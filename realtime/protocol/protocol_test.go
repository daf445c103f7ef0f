package protocol_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"vigil"
	"vigil/realtime/internal/docpage"
	"vigil/realtime/protocol"
)

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
	same(t, "student up", docpage.FirstCells(t, "### Student → server"),
		protocol.TypeHello, protocol.TypeSignal, protocol.TypeChat, protocol.TypeSeen, protocol.TypeBye, protocol.TypeTime,
		protocol.TypeAlive)
	same(t, "student down", docpage.FirstCells(t, "### Server → student"),
		protocol.TypeWelcome, protocol.TypeAck, protocol.TypeCommand, protocol.TypeState, protocol.TypeTime, protocol.TypeChat,
		protocol.TypeHand, protocol.TypeToken, protocol.TypeNotice, protocol.TypeError, protocol.TypeAlive, protocol.TypeReceipt)
	same(t, "proctor up", docpage.FirstCells(t, "### Proctor → server"),
		protocol.TypeSubscribe, protocol.TypeCommand, protocol.TypeLostTime, protocol.TypeChat, protocol.TypeSeen, protocol.TypeTime, protocol.TypeBye)
	same(t, "proctor down", docpage.FirstCells(t, "### Server → proctor"),
		protocol.TypeWelcome, protocol.TypeSnapshot, protocol.TypeSession, protocol.TypeSignal, protocol.TypeGap, protocol.TypeProgress,
		protocol.TypeChat, protocol.TypeTime, protocol.TypeToken, protocol.TypeNotice, protocol.TypeError, protocol.TypePulse, protocol.TypeAccess)
	same(t, "rights", docpage.FirstCells(t, "### Groups and rights"), vigil.Rights...)
}

func TestThePageNamesTheSignals(t *testing.T) {
	t.Parallel()
	same(t, "signals", docpage.FirstCells(t, "## Signals"), vigil.Kinds()...)
	for line := range strings.SplitSeq(docpage.Section(t, "## Signals"), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, m := range docpage.Code.FindAllStringSubmatch(cells[1], -1) {
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
	same(t, "states", docpage.FirstCells(t, "## States"), vigil.States...)
	same(t, "causes", docpage.FirstCells(t, "## Liveness"), vigil.CauseStudent, vigil.CauseServer, vigil.CauseLMS, vigil.CauseUnclear, vigil.CauseNavigation)
}

func TestThePageNamesTheCloseCodes(t *testing.T) {
	t.Parallel()
	text := docpage.Section(t, "## Close codes")
	row := regexp.MustCompile(`(?m)^\| ([0-9, ]+) \| [^|]+ \| (retry|renew|stop)`)
	got := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		for c := range strings.SplitSeq(m[1], ",") {
			got[strings.TrimSpace(c)] = m[2]
		}
	}
	if len(got) != len(protocol.CloseDuty) {
		t.Errorf("close codes: docs/protocol.md has %v, the code %v", got, protocol.CloseDuty)
	}
	for c, duty := range protocol.CloseDuty {
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
	errs := docpage.Section(t, "## Errors")
	for _, c := range []vigil.Code{
		vigil.CodeInvalid, vigil.CodeUnauthorized, vigil.CodeForbidden, vigil.CodeNotFound, vigil.CodeExists,
		vigil.CodeConflict, vigil.CodeIllegal, vigil.CodeTooMany, vigil.CodeUnavailable, vigil.CodeInternal,
	} {
		if !strings.Contains(errs, "`"+string(c)+"`") {
			t.Errorf("docs/protocol.md does not name the error %s", c)
		}
	}
	all := docpage.Text(t)
	var words []string
	for _, n := range []protocol.NoticeKind{protocol.NoticeSaving, protocol.NoticeDrain, protocol.NoticeBehind, protocol.NoticeRelay} {
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
		fmt.Sprintf("%d KiB a frame", protocol.MaxMessage>>10), fmt.Sprintf("up to %d.", protocol.MaxBatch),
		fmt.Sprintf("at most %d deep", protocol.MaxDepth), "`" + protocol.Subprotocol + "`", protocol.TokenSubprotocol,
		"`" + protocol.CheckReason + "`", protocol.CheckSubprotocol,
	} {
		if !strings.Contains(all, fact) {
			t.Errorf("docs/protocol.md does not say %q", fact)
		}
	}
}
