package vigil

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestAnErasureKnowsItsUserAndNamesNobody(t *testing.T) {
	now := time.Now()
	e := Erasure{ID: "1", Salt: bytes.Repeat([]byte{7}, 16), At: now}.Of("https://lms.example", "student-17")
	if err := e.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, user := range [][2]string{{"https://lms.example", "student-1"}, {"https://lms.examples", "tudent-17"}, {"https://other.example", "student-17"}, {"", ""}} {
		if e.Is(user[0], user[1]) {
			t.Errorf("got the erasure of %v, want only of its own user", user)
		}
	}
	if !e.Is("https://lms.example", "student-17") {
		t.Error("got an erasure that does not know its user")
	}
	other := Erasure{ID: "2", Salt: bytes.Repeat([]byte{8}, 16), At: now}.Of("https://lms.example", "student-17")
	if bytes.Equal(e.Hash, other.Hash) {
		t.Error("got the same hash with two salts")
	}
	line, err := json.Marshal(e)
	if err != nil || strings.Contains(string(line), "student") || strings.Contains(string(line), "lms.example") {
		t.Errorf("got %s, %v, want nothing of the user in it", line, err)
	}
}

func TestAnErasureCoversWhatWasThereBeforeIt(t *testing.T) {
	now := time.Now()
	user := Erasure{At: now}
	attempt := Erasure{At: now, ExamID: "e", Attempt: 2}
	for _, c := range []struct {
		what          string
		s             Session
		user, attempt bool
	}{
		{"the attempt", Session{ExamID: "e", Attempt: 2, Created: now.Add(-time.Hour)}, true, true},
		{"another attempt", Session{ExamID: "e", Attempt: 1, Created: now.Add(-time.Hour)}, true, false},
		{"another exam", Session{ExamID: "f", Attempt: 2, Created: now.Add(-time.Hour)}, true, false},
		{"begun in the same moment", Session{ExamID: "e", Attempt: 2, Created: now}, true, true},
		{"begun after it", Session{ExamID: "e", Attempt: 2, Created: now.Add(time.Millisecond)}, false, false},
	} {
		if got := user.Covers(c.s); got != c.user {
			t.Errorf("%s: got %v for the user's erasure, want %v", c.what, got, c.user)
		}
		if got := attempt.Covers(c.s); got != c.attempt {
			t.Errorf("%s: got %v for the attempt's erasure, want %v", c.what, got, c.attempt)
		}
	}
}

func TestAnEntryThatIsNoErasureIsRefused(t *testing.T) {
	good := Erasure{ID: "1", Salt: make([]byte, 16), At: time.Now(), ExamID: "e", Attempt: 1}.Of("i", "u")
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for what, edit := range map[string]func(e *Erasure){
		"no id": func(e *Erasure) { e.ID = "" }, "a short salt": func(e *Erasure) { e.Salt = e.Salt[:15] },
		"a short hash": func(e *Erasure) { e.Hash = e.Hash[:31] }, "no time": func(e *Erasure) { e.At = time.Time{} },
		"no attempt": func(e *Erasure) { e.Attempt = 0 }, "no exam": func(e *Erasure) { e.ExamID = "" },
	} {
		e := good
		edit(&e)
		if CodeOf(e.Validate()) != CodeInvalid {
			t.Errorf("%s: got %v, want it refused", what, e.Validate())
		}
	}
}
