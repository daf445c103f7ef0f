package vigil

import "time"

// Exam is what is proctored: for Moodle one quiz. Platforms know it through links.
type Exam struct {
	ID        string // ours, a UUIDv7
	Title     string
	Issuer    string // of the platform it belongs to
	ContextID string // the course in that platform; may be empty
	Course    string // the course's title, for people
	Policy    Policy
	Managed   bool // the quiz sets the policy at each proctoring launch; it cannot be set here
	Access    AccessSource
	Created   time.Time
	Version   int64
}

// AccessSource is where a platform says who may see and do what at an exam. The zero value: it
// does not, and whoever teaches there may see everyone and do everything. Else nobody sees
// anything without an access record.
type AccessSource struct {
	PlatformID string // whose word it is
	URL        string // answers who may see and do what (docs/assertion.md)
}

// Told tells whether the platform says who may see and do what.
func (a AccessSource) Told() bool { return a.URL != "" }

// Link ties a resource link of a platform to an exam. A quiz is one link; a Vigil
// activity that an instructor deep-links is a second link to the same exam.
type Link struct {
	PlatformID     string
	DeploymentID   string
	ResourceLinkID string
	ExamID         string
	Created        time.Time
}

// CanAlias checks that a further link may point at the exam: only within one issuer
// and context, because teachers can edit custom parameters and would otherwise reach
// other courses' exams. It returns CodeForbidden.
func (e Exam) CanAlias(issuer, contextID string) error {
	if e.Issuer != issuer || e.ContextID != contextID || contextID == "" {
		return Errorf(CodeForbidden, "This activity points at an exam of another course. Add it again in its own course.")
	}
	return nil
}
