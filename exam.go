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
	Created   time.Time
	Version   int64
}

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
