package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// calls keeps what a Reader told.
type calls []string

func (c *calls) Text(m []byte)  { *c = append(*c, fmt.Sprintf("text %q", m)) }
func (c *calls) Ping(p []byte)  { *c = append(*c, fmt.Sprintf("ping %q", p)) }
func (c *calls) Pong()          { *c = append(*c, "pong") }
func (c *calls) Close(code int) { *c = append(*c, fmt.Sprintf("close %d", code)) }

// testMask has no two bytes alike, so that none can take another's place.
var testMask = [4]byte{0x11, 0xa2, 0x3c, 0xf4}

// client makes a frame as clients send them: first is its first byte.
func client(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n <= short:
		b = append(b, masked|byte(n))
	case n <= maxTwo:
		b = binary.BigEndian.AppendUint16(append(b, masked|twoBytes), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|eightByte), uint64(n))
	}
	b = append(b, testMask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^testMask[i&3])
	}
	return b
}

func frames(list ...[]byte) []byte { return slices.Concat(list...) }

func code(n int, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(n))) + reason
}

// claimed is a head that promises a payload of n bytes and has none of them.
func claimed(first byte, n uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{first, masked | eightByte}, n)
	return append(b, testMask[:]...)
}

// read gives data to a new Reader, cut before each of the offsets. It fails where something
// is kept that should not be.
func read(t testing.TB, data []byte, limit int, cuts ...int) (calls, error) {
	t.Helper()
	var r Reader
	var got calls
	from := 0
	for _, to := range append(cuts, len(data)) {
		chunk := bytes.Clone(data[from:to])
		from = to
		err := r.Read(chunk, limit, &got)
		for i := range chunk { // it is the caller's again
			chunk[i] = 0xee
		}
		if p := r.part; p != nil {
			if r.over {
				t.Fatalf("after the end %+v is kept", *p)
			}
			if !p.within && len(p.rest) == 0 {
				t.Fatal("something is kept of a client of whom nothing is half there")
			}
			if len(p.message) > limit || len(p.rest) > limit+MaxHead+4 {
				t.Fatalf("kept of a message of at most %d bytes: got %d and %d", limit, len(p.message), len(p.rest))
			}
		}
		if err != nil {
			var broken *Error
			if !errors.As(err, &broken) || !r.over {
				t.Fatalf("error: got %v, over %t, want an *Error that ends the reading", err, r.over)
			}
			n := len(got)
			if err := r.Read(client(final|opText, "late"), limit, &got); err != nil || len(got) != n {
				t.Fatalf("after the error: got %v and %q, want nothing", err, got[n:])
			}
			return got, err
		}
	}
	return got, nil
}

const testLimit = 300

// rules are what clients may send and what they may not; code 0 is fine.
var rules = []struct {
	name string
	data []byte
	want calls
	code int
}{
	{"text", client(final|opText, "hello"), calls{`text "hello"`}, 0},
	{"empty text", client(final|opText, ""), calls{`text ""`}, 0},
	{"two messages at once", frames(client(final|opText, "a"), client(final|opText, "b")), calls{`text "a"`, `text "b"`}, 0},
	{"the longest length of one byte", client(final|opText, strings.Repeat("x", 125)), calls{fmt.Sprintf("text %q", strings.Repeat("x", 125))}, 0},
	{"the shortest length of two bytes", client(final|opText, strings.Repeat("x", 126)), calls{fmt.Sprintf("text %q", strings.Repeat("x", 126))}, 0},
	{"a message in fragments", frames(client(opText, "he"), client(opContinuation, "ll"), client(final|opContinuation, "o")), calls{`text "hello"`}, 0},
	{"empty fragments", frames(client(opText, ""), client(opContinuation, ""), client(final|opContinuation, "")), calls{`text ""`}, 0},
	{
		"control frames between fragments",
		frames(client(opText, "he"), client(final|opPing, "p"), client(opContinuation, "ll"), client(final|opPong, "q"), client(final|opContinuation, "o")),
		calls{`ping "p"`, "pong", `text "hello"`},
		0,
	},
	{"a second message in fragments", frames(client(opText, "a"), client(final|opContinuation, "b"), client(opText, "c"), client(final|opContinuation, "d")), calls{`text "ab"`, `text "cd"`}, 0},
	{"the longest ping", client(final|opPing, strings.Repeat("p", 125)), calls{fmt.Sprintf("ping %q", strings.Repeat("p", 125))}, 0},
	{"a ping without a payload", client(final|opPing, ""), calls{`ping ""`}, 0},
	{"exactly the limit", client(final|opText, strings.Repeat("x", testLimit)), calls{fmt.Sprintf("text %q", strings.Repeat("x", testLimit))}, 0},
	{
		"exactly the limit in fragments",
		frames(client(opText, strings.Repeat("x", testLimit-1)), client(opContinuation, "x"), client(final|opContinuation, "")),
		calls{fmt.Sprintf("text %q", strings.Repeat("x", testLimit))},
		0,
	},
	{"a ping beside a message of exactly the limit", frames(client(opText, strings.Repeat("x", testLimit)), client(final|opPing, "p"), client(final|opContinuation, "")), calls{`ping "p"`, fmt.Sprintf("text %q", strings.Repeat("x", testLimit))}, 0},
	{"a close without a code", client(final|opClose, ""), calls{"close 0"}, 0},
	{"a close with a code", client(final|opClose, code(1000, "")), calls{"close 1000"}, 0},
	{"a close with a reason", client(final|opClose, code(1001, "leaving")), calls{"close 1001"}, 0},
	{"a close of a registered code", client(final|opClose, code(3000, "")), calls{"close 3000"}, 0},
	{"a close of a private code", client(final|opClose, code(4999, "")), calls{"close 4999"}, 0},
	{"a close within a message", frames(client(opText, "a"), client(final|opClose, code(1000, ""))), calls{"close 1000"}, 0},
	{"nothing is taken after a close", frames(client(final|opClose, ""), client(final|opText, "late"), []byte{0xff, 0xff}), calls{"close 0"}, 0},

	{"the first reserved bit", client(final|0x40|opText, "x"), nil, CodeProtocol},
	{"the second reserved bit", client(final|0x20|opText, "x"), nil, CodeProtocol},
	{"the third reserved bit", client(final|0x10|opText, "x"), nil, CodeProtocol},
	{"a reserved bit of a ping", client(final|0x40|opPing, ""), nil, CodeProtocol},
	{"a frame that is not masked", []byte{final | opText, 1, 'x'}, nil, CodeProtocol},
	{"a ping that is not masked", []byte{final | opPing, 0}, nil, CodeProtocol},
	{"a ping in fragments", client(opPing, ""), nil, CodeProtocol},
	{"a pong in fragments", client(opPong, ""), nil, CodeProtocol},
	{"a close in fragments", client(opClose, ""), nil, CodeProtocol},
	{"a ping that is too long", client(final|opPing, strings.Repeat("p", 126)), nil, CodeProtocol},
	{"a pong that is too long", client(final|opPong, strings.Repeat("p", 126)), nil, CodeProtocol},
	{"a close that is too long", client(final|opClose, code(1000, strings.Repeat("p", 124))), nil, CodeProtocol},
	{"a ping of a long length", claimed(final|opPing, 1), nil, CodeProtocol},
	{"binary", client(final|opBinary, "x"), nil, CodeUnsupported},
	{"binary in fragments", client(opBinary, "x"), nil, CodeUnsupported},
	{"binary within a message", frames(client(opText, "a"), client(final|opBinary, "x")), nil, CodeUnsupported},
	{"a continuation of nothing", client(opContinuation, "x"), nil, CodeProtocol},
	{"a last continuation of nothing", client(final|opContinuation, "x"), nil, CodeProtocol},
	{"a continuation of a whole message", frames(client(final|opText, "a"), client(final|opContinuation, "x")), calls{`text "a"`}, CodeProtocol},
	{"a continuation after the last", frames(client(opText, "a"), client(final|opContinuation, "b"), client(final|opContinuation, "c")), calls{`text "ab"`}, CodeProtocol},
	{"a text within a message", frames(client(opText, "a"), client(final|opText, "b")), nil, CodeProtocol},
	{"a text in fragments within a message", frames(client(opText, "a"), client(opText, "b")), nil, CodeProtocol},
	{"a close of one byte", client(final|opClose, "x"), nil, CodeProtocol},
	{"what came before a mistake", frames(client(final|opText, "a"), client(final|opPing, "b"), client(0x7f, "")), calls{`text "a"`, `ping "b"`}, CodeProtocol},
	{"too long by one", client(final|opText, strings.Repeat("x", testLimit+1)), nil, CodeTooBig},
	{"too long by one in fragments", frames(client(opText, strings.Repeat("x", testLimit)), client(final|opContinuation, "x")), nil, CodeTooBig},
	{"a first fragment that is too long", client(opText, strings.Repeat("x", testLimit+1)), nil, CodeTooBig},
	{"a length of eight bytes that is too long", claimed(final|opText, testLimit+1), nil, CodeTooBig},
	{"a length beyond 32 bits", claimed(final|opText, 1<<32), nil, CodeTooBig},
	{"the highest length", claimed(final|opText, 1<<63-1), nil, CodeTooBig},
	{"a length of which the highest bit is set", claimed(final|opText, 1<<63), nil, CodeTooBig},
	{"all bits of the length", claimed(final|opText, 1<<64-1), nil, CodeTooBig},
	{"a fragment that makes the sum overflow", frames(client(opText, "x"), claimed(final|opContinuation, 1<<63-1)), nil, CodeTooBig},
}

func init() {
	for _, op := range []byte{0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf} {
		rules = append(rules, struct {
			name string
			data []byte
			want calls
			code int
		}{fmt.Sprintf("opcode %#x", op), client(final|op, ""), nil, CodeProtocol})
	}
	for _, n := range []int{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65535} {
		rules = append(rules, struct {
			name string
			data []byte
			want calls
			code int
		}{fmt.Sprintf("a close with the code %d", n), client(final|opClose, code(n, "")), nil, CodeProtocol})
	}
}

func TestClientsMayAndMayNot(t *testing.T) {
	t.Parallel()
	for _, row := range rules {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, row.data, testLimit)
			var broken *Error
			errors.As(err, &broken)
			switch {
			case row.code == 0 && err != nil:
				t.Fatalf("error: got %v, want none", err)
			case row.code != 0 && (broken == nil || broken.Code != row.code || broken.Reason == ""):
				t.Fatalf("error: got %v, want the code %d and a reason", err, row.code)
			case !slices.Equal(got, row.want):
				t.Fatalf("calls: got %q, want %q", got, row.want)
			}
		})
	}
}

// TestHoweverTheBytesComeTheSameIsTold cuts each row of the rules at every place, at every
// two of the short ones, and into single bytes.
func TestHoweverTheBytesComeTheSameIsTold(t *testing.T) {
	t.Parallel()
	for _, row := range rules {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			want, wantErr := read(t, row.data, testLimit)
			check := func(cuts ...int) {
				got, err := read(t, row.data, testLimit, cuts...)
				if !slices.Equal(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
					t.Fatalf("cut at %v: got %q and %v, want %q and %v", cuts, got, err, want, wantErr)
				}
			}
			var every []int
			for i := 1; i < len(row.data); i++ {
				check(i)
				every = append(every, i)
				for j := i; len(row.data) < 60 && j < len(row.data); j++ {
					check(i, j)
				}
			}
			check(every...)
		})
	}
}

func TestLengthsOfSixteenAndOfSixtyFourBits(t *testing.T) {
	t.Parallel()
	const limit = 70000
	for _, n := range []int{126, 255, 256, maxTwo - 1, maxTwo, maxTwo + 1, limit} {
		payload := strings.Repeat("0123456789abcde", n/15+1)[:n]
		got, err := read(t, client(final|opText, payload), limit, 1, 2, 3, n/2)
		if want := fmt.Sprintf("text %q", payload); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%d bytes: got %v and %d calls, want the message", n, err, len(got))
		}
	}
}

func TestAMaskIsTakenOffAtEveryLength(t *testing.T) {
	t.Parallel()
	for n := range 40 {
		payload := strings.Repeat("abcdefgh", 5)[:n]
		if got, err := read(t, client(final|opText, payload), testLimit); err != nil || !slices.Equal(got, calls{fmt.Sprintf("text %q", payload)}) {
			t.Errorf("%d bytes: got %q and %v, want %q", n, got, err, payload)
		}
	}
}

func TestNothingIsKeptOfAClientThatIsQuiet(t *testing.T) {
	t.Parallel()
	var r Reader
	var got calls
	whole := frames(client(opText, "he"), client(final|opPing, "p"), client(final|opContinuation, "llo"), client(final|opText, "x"))
	for i := range whole {
		if err := r.Read(whole[i:i+1:i+1], testLimit, &got); err != nil {
			t.Fatal(err)
		}
		if i < len(whole)-1 && r.part == nil && i != len(whole)-len(client(final|opText, "x"))-1 {
			t.Fatalf("after %d bytes nothing is kept", i+1)
		}
	}
	if r.part != nil {
		t.Fatalf("kept: got %+v, want nothing", *r.part)
	}
	if want := (calls{`ping "p"`, `text "hello"`, `text "x"`}); !slices.Equal(got, want) {
		t.Fatalf("calls: got %q, want %q", got, want)
	}
}

func TestFramesOfOursHaveTheShortestHead(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		n    int
		head []byte
	}{
		{0, []byte{0x81, 0}},
		{125, []byte{0x81, 125}},
		{126, []byte{0x81, 126, 0, 126}},
		{65535, []byte{0x81, 126, 0xff, 0xff}},
		{65536, []byte{0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
	} {
		payload := bytes.Repeat([]byte("x"), row.n)
		got := PutHead(append(make([]byte, MaxHead), payload...))
		if !bytes.Equal(got, append(bytes.Clone(row.head), payload...)) {
			t.Errorf("%d bytes: got the head % x, want % x", row.n, got[:min(len(got), MaxHead)], row.head)
		}
	}
}

func TestAReasonThatIsTooLongIsCutBetweenLetters(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, reason, want string }{
		{"none", "", ""},
		{"the longest", strings.Repeat("x", 123), strings.Repeat("x", 123)},
		{"too long by one", strings.Repeat("x", 124), strings.Repeat("x", 123)},
		{"a letter of two bytes at the end", strings.Repeat("x", 122) + "é", strings.Repeat("x", 122)},
		{"a letter of four bytes at the end", strings.Repeat("x", 120) + "🙂", strings.Repeat("x", 120)},
	} {
		got := AppendClose(nil, 4000, row.reason)
		if want := string([]byte{0x88, byte(2 + len(row.want))}) + code(4000, row.want); string(got) != want || !utf8.Valid(got[4:]) {
			t.Errorf("%s: got %q, want %q", row.name, got, want)
		}
	}
	if got, want := string(AppendClose(nil, 0, "nobody reads it")), "\x88\x00"; got != want {
		t.Errorf("without a code: got %q, want %q", got, want)
	}
}

// BenchmarkRead is a student's signal of 150 bytes, whole and in two parts.
func BenchmarkRead(b *testing.B) {
	payload := `{"t":"signal","seq":1234,"kind":"visibility_hidden","at":1790000000000,"dur":1532,"data":{"page":3,"text":"` + strings.Repeat("x", 40) + `"}}`
	frame := client(final|opText, payload[:min(len(payload), 150)])
	for _, row := range []struct {
		name string
		cut  int
	}{{"whole", len(frame)}, {"in-two", 70}} {
		b.Run(row.name, func(b *testing.B) {
			var r Reader
			var h counting
			data := make([]byte, len(frame))
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				copy(data, frame) // it is changed
				_ = r.Read(data[:row.cut], 64<<10, &h)
				if row.cut < len(data) {
					_ = r.Read(data[row.cut:], 64<<10, &h)
				}
			}
			if h.texts != b.N {
				b.Fatalf("messages: got %d, want %d", h.texts, b.N)
			}
		})
	}
}

type counting struct{ texts int }

func (c *counting) Text([]byte) { c.texts++ }
func (c *counting) Ping([]byte) {}
func (c *counting) Pong()       {}
func (c *counting) Close(int)   {}
