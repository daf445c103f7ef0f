package vigil

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
	"unicode/utf8"
)

// Right is one thing that a person may do as a proctor of an exam.
type Right string

// The rights. Without RightWatch none of the others counts.
const (
	RightWatch  Right = "watch"  // dashboard, timelines and report; flags and own notes
	RightTalk   Right = "talk"   // messages, warnings and chat
	RightTime   Right = "time"   // admit, pause, resume, give time and lost time
	RightEnd    Right = "end"    // end an attempt
	RightReopen Right = "reopen" // take the end of an attempt back
	RightReview Right = "review" // decide on incidents
	RightExport Right = "export" // download the report and timelines
)

// Rights lists all rights.
var Rights = []Right{RightWatch, RightTalk, RightTime, RightEnd, RightReopen, RightReview, RightExport}

// Right is what a command of this kind needs; "" for a kind that is not known.
func (k CommandKind) Right() Right {
	switch k {
	case CommandFlag, CommandNote:
		return RightWatch
	case CommandMessage, CommandWarn:
		return RightTalk
	case CommandAdmit, CommandPause, CommandResume, CommandExtend:
		return RightTime
	case CommandTerminate:
		return RightEnd
	case CommandReactivate:
		return RightReopen
	}
	return ""
}

// Group is a group of the platform's course.
type Group struct {
	ID   string `json:"id"`
	Name string `json:"name"` // for people

	// Hidden: only who names the group in their own record may know of it, also where they see
	// everyone.
	Hidden bool `json:"hidden,omitempty"`
}

// Access is an access record: what a platform told of one person at one exam. For staff it
// says whose students they see and what they may do. For a student only Groups counts: those
// they belong to.
type Access struct {
	ExamID  string
	UserID  string    // the platform's sub
	Version int64     // the platform's; of two records of one person the higher counts
	At      time.Time // when the platform told it, by our clock
	All     bool      // sees every student, also those who are in no group
	Groups  []Group   // sees the students of these, and may know of them where they are hidden
	Rights  []Right   // may do this
}

// Bounds of an access record.
const (
	MaxGroups     = 1000    // in one record
	MaxGroupID    = 64      // bytes
	MaxGroupName  = 255     // bytes; longer ones are cut
	MaxGroupNames = 160_000 // bytes of all names of one record, which must fit into one item of a store; further ones are left out
)

// AccessKept is how long an access record is kept after At. One that is older counts as not
// there: the platform is asked long before.
const AccessKept = 48 * time.Hour

// FullAccess is that of a proctor whose platform tells nothing of groups and rights.
func FullAccess() Access { return Access{All: true, Rights: slices.Clone(Rights)} }

// May tells whether the person has a right.
func (a Access) May(r Right) bool {
	return slices.Contains(a.Rights, RightWatch) && slices.Contains(a.Rights, r)
}

// Allow is May as an error: CodeForbidden, with what to do.
func (a Access) Allow(r Right) error {
	if a.May(r) {
		return nil
	}
	return Errorf(CodeForbidden, "Your role in the course does not allow this. Ask a teacher who may change roles there.")
}

// Sees tells whether the person may see a student of the given groups.
func (a Access) Sees(groups []Group) bool {
	if !slices.Contains(a.Rights, RightWatch) {
		return false
	}
	return a.All || slices.ContainsFunc(groups, a.has)
}

// Shown are those of a student's groups that the person may know of.
func (a Access) Shown(groups []Group) []Group {
	if a.All && !slices.ContainsFunc(groups, func(g Group) bool { return g.Hidden }) {
		return groups
	}
	var out []Group
	for _, g := range groups {
		if a.All && !g.Hidden || a.has(g) {
			out = append(out, g)
		}
	}
	return out
}

func (a Access) has(g Group) bool {
	return slices.ContainsFunc(a.Groups, func(own Group) bool { return own.ID == g.ID })
}

// CheckAccessVersion refuses a version that is further ahead of now than clocks differ, as
// CodeInvalid: a version is a time in milliseconds, or a little more, and one of another century
// would count for ever.
func CheckAccessVersion(version int64, now time.Time) error {
	if version > now.Add(24*time.Hour).UnixMilli() {
		return Invalid("access.version", "The learning platform sent groups and rights of a version that is not of our time.")
	}
	return nil
}

// Validate reports what no store can keep, as CodeInvalid.
func (a Access) Validate() error {
	if err := CheckAccessVersion(a.Version, a.At); err != nil {
		return err
	}
	switch {
	case a.ExamID == "":
		return Invalid("exam", "An access record needs its exam.")
	case a.UserID == "":
		return Invalid("user", "An access record needs its user.")
	case a.Version < 1:
		return Invalid("version", "An access record needs its version.")
	case a.At.IsZero():
		return Invalid("at", "An access record needs its time.")
	}
	return nil
}

// ParseAccess reads what a platform tells of one person, in a launch (Settings), in a report or
// in an answer (docs/assertion.md):
//
//	{"user": "5", "version": 1790000000123, "all": false, "groups": [{"id": "12", "name": "A"}], "rights": ["watch"]}
//
// A launch leaves user out. Rights that are not known here are left out. ExamID and At are the
// caller's. What cannot be read is CodeInvalid.
func ParseAccess(raw json.RawMessage) (Access, error) {
	var in struct {
		User    string  `json:"user"`
		Version int64   `json:"version"`
		All     bool    `json:"all"`
		Groups  []Group `json:"groups"`
		Rights  []Right `json:"rights"`
	}
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		return Access{}, Invalid("access", "The learning platform sent groups and rights that cannot be read.")
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return Access{}, &Error{Code: CodeInvalid, Field: "access", Message: "The learning platform sent groups and rights that cannot be read.", Err: err}
	}
	if in.Version < 1 {
		return Access{}, Invalid("access.version", "The learning platform sent groups and rights without a version.")
	}
	a := Access{UserID: in.User, Version: in.Version, All: in.All}
	var err error
	if a.Groups, err = tidyGroups(in.Groups); err != nil {
		return Access{}, err
	}
	for _, r := range Rights {
		if slices.Contains(in.Rights, r) {
			a.Rights = append(a.Rights, r)
		}
	}
	return a, nil
}

// tidyGroups checks groups, cuts their names and leaves repeated ones out. They keep their order.
func tidyGroups(groups []Group) ([]Group, error) {
	if len(groups) > MaxGroups {
		return nil, Invalid("access.groups", "The learning platform sent more than %d groups of one person.", MaxGroups)
	}
	var out []Group
	names := 0
	for _, g := range groups {
		if g.ID == "" || len(g.ID) > MaxGroupID || !utf8.ValidString(g.ID) {
			return nil, Invalid("access.groups", "The learning platform sent a group without a usable id.")
		}
		g.Name = CleanName(g.Name, MaxGroupName)
		if slices.ContainsFunc(out, func(o Group) bool { return o.ID == g.ID }) {
			continue
		}
		if names += len(g.Name); names > MaxGroupNames {
			g.Name = ""
		}
		out = append(out, g)
	}
	return out, nil
}
