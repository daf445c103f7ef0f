package ltitest

import "vigil"

// Condition is how an attempt stands when an Assessment Control request for it comes. Where
// two fit, the attempt's own counts: Unproctored is only one that is running or paused.
type Condition string

// The conditions, in the order of the columns of docs/assertion.md ("Assessment Control:
// what was done").
const (
	NotBegun    Condition = "not_begun"    // its launch waits for StartAssessment
	InProgress  Condition = "running"      //
	OnHold      Condition = "paused"       //
	Over        Condition = "ended"        // by its student, or by its clock
	Stopped     Condition = "terminated"   // by a proctor
	Deleted     Condition = "deleted"      //
	Unproctored Condition = "switched_off" // it goes on, but its quiz is not proctored any more
)

// Conditions lists them all.
var Conditions = []Condition{NotBegun, InProgress, OnHold, Over, Stopped, Deleted, Unproctored}

// Verdict is what our plugin does about a request.
type Verdict struct {
	Applied vigil.Applied
	Reason  vigil.NoReason // with AppliedNo
	Or      vigil.NoReason // with AppliedNow: why it may prove impossible all the same
}

// ControlTable says what our plugin does about a request, by action and condition. The
// platform acts by it; docs/assertion.md has the same table. A repeat of a request that was
// done is AppliedBefore whatever the condition.
var ControlTable = map[string]map[Condition]Verdict{
	vigil.ActionPause: {
		NotBegun: refuses(vigil.NoNotBegun), InProgress: does, OnHold: stands, Over: refuses(vigil.NoEnded),
		Stopped: refuses(vigil.NoEnded), Deleted: refuses(vigil.NoGone), Unproctored: refuses(vigil.NoSwitchedOff),
	},
	vigil.ActionResume: {
		NotBegun: refuses(vigil.NoNotBegun), InProgress: stands, OnHold: does, Over: refuses(vigil.NoEnded),
		Stopped: doesOr(vigil.NoCannotReopen), Deleted: refuses(vigil.NoGone), Unproctored: refuses(vigil.NoSwitchedOff),
	},
	vigil.ActionTerminate: {
		NotBegun: refuses(vigil.NoNotBegun), InProgress: does, OnHold: does, Over: refuses(vigil.NoEnded),
		Stopped: stands, Deleted: refuses(vigil.NoGone), Unproctored: refuses(vigil.NoSwitchedOff),
	},
	vigil.ActionUpdate: {
		NotBegun: refuses(vigil.NoNotBegun), InProgress: doesOr(vigil.NoEnd), OnHold: doesOr(vigil.NoEnd), Over: refuses(vigil.NoEnded),
		Stopped: refuses(vigil.NoEnded), Deleted: refuses(vigil.NoGone), Unproctored: refuses(vigil.NoSwitchedOff),
	},
	vigil.ActionFlag: {
		NotBegun: refuses(vigil.NoNotBegun), InProgress: does, OnHold: does, Over: does,
		Stopped: does, Deleted: refuses(vigil.NoGone), Unproctored: does,
	},
}

// The words of the table.
var (
	does   = Verdict{Applied: vigil.AppliedNow}
	stands = Verdict{Applied: vigil.AppliedBefore}
)

func doesOr(why vigil.NoReason) Verdict { return Verdict{Applied: vigil.AppliedNow, Or: why} }

func refuses(reason vigil.NoReason) Verdict {
	return Verdict{Applied: vigil.AppliedNo, Reason: reason}
}
