package vigil

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestNamesOfMoreGroupsThanAStoreCanKeepAreLeftOut(t *testing.T) {
	type group struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	var groups []group
	for i := range MaxGroups {
		groups = append(groups, group{fmt.Sprintf("%0*d", MaxGroupID, i), strings.Repeat("班", MaxGroupName)})
	}
	raw, err := json.Marshal(map[string]any{"version": 1, "groups": groups})
	if err != nil {
		t.Fatal(err)
	}
	a, err := ParseAccess(raw)
	if err != nil || len(a.Groups) != MaxGroups {
		t.Fatalf("got %d groups, %v, want all", len(a.Groups), err)
	}
	names := 0
	for _, g := range a.Groups {
		names += len(g.Name)
	}
	if names > MaxGroupNames || a.Groups[0].Name == "" || a.Groups[MaxGroups-1].Name != "" {
		t.Errorf("got %d bytes of names, want at most %d, of the first groups", names, MaxGroupNames)
	}
}

func TestAnAccessRecordWithoutItsNamesIsInvalid(t *testing.T) {
	whole := Access{ExamID: "e", UserID: "5", Version: 1, At: time.Unix(1, 0)}
	if err := whole.Validate(); err != nil {
		t.Errorf("got %v, want no error", err)
	}
	for _, edit := range []func(a *Access){
		func(a *Access) { a.ExamID = "" }, func(a *Access) { a.UserID = "" }, func(a *Access) { a.Version = 0 }, func(a *Access) { a.At = time.Time{} },
	} {
		a := whole
		edit(&a)
		if err := a.Validate(); CodeOf(err) != CodeInvalid {
			t.Errorf("%+v: got %v, want it invalid", a, err)
		}
	}
}

func TestAHiddenGroupIsShownToThoseWhoseRecordNamesIt(t *testing.T) {
	a, err := ParseAccess(json.RawMessage(`{"version":1,"groups":[{"id":"1","name":"A"},{"id":"2","name":"needs more time","hidden":true}]}`))
	if err != nil {
		t.Fatal(err)
	}
	hidden, watch := a.Groups[1], []Right{RightWatch}
	for _, c := range []struct {
		who  string
		by   Access
		want string
	}{
		{"who sees all", Access{All: true, Rights: watch}, "[1]"},
		{"who sees all and may know of it", Access{All: true, Rights: watch, Groups: []Group{hidden}}, "[1 2]"},
		{"who is in it", Access{Rights: watch, Groups: []Group{hidden}}, "[2]"},
		{"who is in another", Access{Rights: watch, Groups: []Group{a.Groups[0]}}, "[1]"},
	} {
		var ids []string
		for _, g := range c.by.Shown(a.Groups) {
			ids = append(ids, g.ID)
		}
		if got := fmt.Sprint(ids); got != c.want {
			t.Errorf("%s: got %s, want %s", c.who, got, c.want)
		}
		if !c.by.Sees(a.Groups) {
			t.Errorf("%s does not see the student", c.who)
		}
	}
}
