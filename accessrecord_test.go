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
