package realtime_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"vigil"
	"vigil/realtime/protocol"
)

// TestLengthsAreKeptAndBoundedByTheServersClock has absences of every length, from a computer that
// may have slept, on a connection that has answered its pings for half an hour.
func TestLengthsAreKeptAndBoundedByTheServersClock(t *testing.T) {
	for _, row := range []struct {
		name     string
		next     int64 // of the hello
		age      time.Duration
		dur      time.Duration
		data     string
		want     time.Duration
		kept     string
		severity float64
	}{
		{"seconds", 1, 30 * time.Minute, 4 * time.Second, ``, 4 * time.Second, ``, 0.1},
		{"minutes", 1, 30 * time.Minute, 20 * time.Minute, ``, 20 * time.Minute, ``, 0.6},
		{"days, told late", 10, 30 * time.Minute, 70 * time.Hour, ``, 70 * time.Hour, ``, 0.6},
		{"longer than the session", 1, 30 * time.Minute, 200 * time.Hour, ``, 100*time.Hour + 30*time.Minute, `{"reported":720000000}`, 0.6},
		{"a sleep that was over when it connected", 1, 2 * time.Second, 20*time.Minute + 4*time.Second, `{"asleep":1200000}`, 20*time.Minute + 4*time.Second, `{"asleep":1200000}`, 0.1},
		{"a sleep of before, told late", 10, 30 * time.Minute, 20*time.Minute + 4*time.Second, `{"asleep":1200000}`, 20*time.Minute + 4*time.Second, `{"asleep":1200000}`, 0.1},
		{"a sleep that answered pings", 1, 30 * time.Minute, 20*time.Minute + 4*time.Second, `{"continued":true,"asleep":1200000}`, 20*time.Minute + 4*time.Second, `{"continued":true}`, 0.6},
	} {
		t.Run(row.name, func(t *testing.T) {
			inBubble(t, func(b *bubble) {
				s := b.sessionOf(100*time.Hour, 1000*time.Hour)
				b.hello = fmt.Sprintf(`{"t":"hello","stream":"abcdefghijklmnop","next":%d}`, row.next)
				ws, _, _ := b.socket(studentClaims(s), func() bool { return true })
				time.Sleep(row.age)
				data := row.data
				if data != "" {
					data = `,"data":` + data
				}
				for range 2 { // sent again it is the same, though the server's clock has gone on
					b.ok(ws.Write(b.ctx, websocket.MessageText, fmt.Appendf(nil, `{"t":"signal","seq":1,"kind":"hidden","at":%d,"dur":%d%s}`,
						s.Created.UnixMilli(), row.dur.Milliseconds(), data)))
					time.Sleep(time.Minute)
					synctest.Wait()
				}
				list, _, err := b.db.SignalsOfSession(b.ctx, s.ID, vigil.Page{})
				b.ok(err)
				var found []vigil.Signal
				for _, g := range list {
					switch g.Kind {
					case vigil.KindHidden:
						found = append(found, g)
					case vigil.KindTampering, vigil.KindRefused:
						t.Errorf("got %s %s", g.Kind, g.Data)
					}
				}
				if len(found) != 1 || found[0].Duration.Round(time.Second) != row.want || string(found[0].Data) != row.kept || found[0].Severity != row.severity {
					t.Errorf("got %+v, want one of %v with %s and severity %v", found, row.want, row.kept, row.severity)
				}
			})
		})
	}
}

// TestWhatIsRefusedForGoodIsToldAndNoted: the student hears it, and the record says it, without what
// was refused.
func TestWhatIsRefusedForGoodIsToldAndNoted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	w := r.wire(studentClaims(s))
	w.write(hello)
	const at = `"at":1790000000000`
	for _, row := range []struct{ frame, ref, field string }{
		{`{"t":"signal","seq":1,"kind":"paste",` + at + `,"data":{"typed":"secret text"}}`, "1", "data"},
		{`{"t":"signal","seq":2,"kind":"paste",` + at + `,"data":{"length":3,"hash":"no hash"}}`, "2", "data"},
		{`{"t":"signal","seq":3,"kind":"hand_raised",` + at + `,"dur":-1}`, "3", "dur"},
		{`{"t":"chat","id":"abcdefgh","text":"` + "\u200b" + `"}`, "abcdefgh", "text"},
		{`{"t":"chat","id":"abcdefgi","text":"` + "\u200b" + `"}`, "abcdefgi", "text"},
	} {
		w.write(row.frame)
		var e protocol.Error
		w.next(protocol.TypeError, &e)
		if e.Duty != protocol.DutyDrop || e.Ref != row.ref || e.Field != row.field {
			t.Errorf("%s: got %+v, want a drop of %s for its %s", row.frame, e, row.ref, row.field)
		}
	}
	want := []string{
		`{"code":"invalid","field":"data","kind":"paste"}`, `{"code":"invalid","field":"data","kind":"paste"}`,
		`{"code":"invalid","field":"dur","kind":"hand_raised"}`, `{"code":"invalid","field":"text","kind":"chat"}`,
	}
	slices.Sort(want)
	var got []string
	r.until("noted", func() bool {
		got = nil
		for _, g := range r.stored(s.ID) {
			if g.Kind == vigil.KindRefused {
				got = append(got, string(g.Data))
			}
		}
		return len(got) >= len(want)
	})
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("noted: got %v, want %v", got, want)
	}
}
