package dynamo

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"vigil"
)

// attributes names the fields of everything that is stored, as they are in the tables. A field has the
// attribute of its name; one that was renamed since keeps the attribute that it had (Field=Attribute),
// and Field=- is not stored as part of the struct. A field that is not here stops the program when it
// starts, so that renaming one never loses data. testdata/ondisk.json has an item of each.
var attributes = schemaOf(map[reflect.Type]string{
	reflect.TypeFor[vigil.Platform](): `ID Issuer ClientID Name Family AuthorizationEndpoint TokenEndpoint TokenAudience KeySetURL
		Scopes Plugin Private State Created Updated Version`,
	reflect.TypeFor[vigil.Deployment]():   `PlatformID ID State Created`,
	reflect.TypeFor[vigil.Link]():         `PlatformID DeploymentID ResourceLinkID ExamID Created`,
	reflect.TypeFor[vigil.Invitation]():   `Hash Private Review Tries PlatformID Created Expires`,
	reflect.TypeFor[vigil.Key]():          `ID Use State Sealed Public Created Since Version`,
	reflect.TypeFor[vigil.Record]():       `Kind Key Value Expires`,
	reflect.TypeFor[vigil.Exam]():         `ID Title Issuer ContextID Course Policy Managed Access=- Created Version`,
	reflect.TypeFor[vigil.AccessSource](): `PlatformID URL`,
	reflect.TypeFor[vigil.Policy](): `Admission Pause Fullscreen Attention Watch LinkLoss LostTimeCap DurationMinutes EndMessage
		Retention Unwatched`,
	reflect.TypeFor[vigil.Retention](): `Signals Chat Sessions Audit`,
	reflect.TypeFor[vigil.Session](): `ID ExamID UserID Name Attempt Generation Previous PlatformID DeploymentID ResourceLinkID Plugin
		Locale ControlURL ControlActions ReturnURL Consents State Version Created Ready Started Ended Changed By Reason PausedAt
		PauseAnswered PausedTotal Pauses End EndSeen Grants Carry DueAt Sent Opened Unwatched UnwatchedEnd UnwatchedRoom Groups
		GroupsVersion Presence=- Tally=- Monitor=-`,
	reflect.TypeFor[vigil.Consent]():   `Notice At`,
	reflect.TypeFor[vigil.Actor]():     `Role ID Name`,
	reflect.TypeFor[vigil.Pause]():     `From To ID Answered`,
	reflect.TypeFor[vigil.Grant]():     `CommandID ID Time Taken State At Held Own`,
	reflect.TypeFor[vigil.Group]():     `ID Name Hidden`,
	reflect.TypeFor[vigil.Presence]():  `Connection Since Heard Epoch Node Cause Reports Watched`,
	reflect.TypeFor[vigil.Tally]():     `Signals Incidents Open Severity LastKind LastAt Hand Unread`,
	reflect.TypeFor[vigil.Monitor]():   `State Since Heard Pages Visible Hidden Focused Focuses Given`,
	reflect.TypeFor[monitored]():       `Monitor`,
	reflect.TypeFor[vigil.Signal]():    `SessionID ExamID Stream Seq Kind Severity Incident At Duration Received Data`,
	reflect.TypeFor[review]():          `Review Reviewer Note Reviewed Version`,
	reflect.TypeFor[vigil.Gap]():       `ID SessionID ExamID Start End Cause Until Paused Proposed Decision CommandID Version`,
	reflect.TypeFor[vigil.Command]():   `ID SessionID ExamID Kind Text ReasonCode Time Severity By At Stage Problem Delivered Seen LMS`,
	reflect.TypeFor[vigil.LMSAnswer](): `State Status Problem At`,
	reflect.TypeFor[vigil.Delivery](): `ID SessionID ExamID CommandID Version Action ExtraMinutes IncidentTime Severity ReasonCode Reason
		State Tries Sent Created NextTry LeaseOwner LeaseEnds`,
	reflect.TypeFor[vigil.ChatLine]():        `ID SessionID ExamID From Text Urgent At`,
	reflect.TypeFor[vigil.Audit]():           `ID ExamID Sessions Action By From Detail At Chain`,
	reflect.TypeFor[vigil.AuditChain]():      `ID Seq Prev PrevAt Who Salt`,
	reflect.TypeFor[oldAudit]():              `SessionID`,
	reflect.TypeFor[vigil.AuditCheckpoint](): `ExamID Chain Head Signature`,
	reflect.TypeFor[vigil.AuditHead]():       `Seq Hash At`,
	reflect.TypeFor[vigil.Access]():          `ExamID UserID Version At All Groups Rights`,
	reflect.TypeFor[vigil.Erasure]():         `ID Salt Hash ExamID Attempt At`,
	reflect.TypeFor[vigil.Node]():            `ID Host Heard Schema`,
})

// review is what an incident has beside its signal.
type review struct {
	Review   vigil.ReviewState
	Reviewer vigil.Actor
	Note     string
	Reviewed time.Time
	Version  int64
}

// monitored is the part of the live item that is a struct of its own.
type monitored struct{ Monitor vigil.Monitor }

// oldAudit is an entry of before there were chains, which names one session.
type oldAudit struct{ SessionID string }

// attr is a field of a struct and its attribute.
type attr struct {
	field int
	name  string
}

// schemaOf reads the names of each type's attributes, in the order of the fields.
func schemaOf(names map[reflect.Type]string) map[reflect.Type][]attr {
	out := make(map[reflect.Type][]attr, len(names))
	for t, list := range names {
		words := strings.Fields(list)
		if len(words) != t.NumField() {
			panic(fmt.Sprintf("dynamo: %s has %d fields and %d names for them", t, t.NumField(), len(words)))
		}
		for i, word := range words {
			field, name, renamed := strings.Cut(word, "=")
			if t.Field(i).Name != field {
				panic(fmt.Sprintf("dynamo: the field %s.%s stands where %s is in the list of attributes", t, t.Field(i).Name, field))
			}
			if !renamed {
				name = field
			}
			if name != "-" {
				out[t] = append(out[t], attr{i, name})
			}
		}
	}
	return out
}

// attributesOf are those of a struct. A type that has none is a mistake of ours, which the first test of it shows.
func attributesOf(t reflect.Type) []attr {
	list, ok := attributes[t]
	if !ok {
		panic(fmt.Sprintf("dynamo: %s cannot be stored", t))
	}
	return list
}
