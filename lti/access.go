package lti

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"vigil"
)

// tokenUseAccess is the token_use of a report of who may see and do what.
const tokenUseAccess = "access"

// MaxAccessAsked is of how many people one question asks, at most.
const MaxAccessAsked = 500

const (
	mediaAccess     = "application/vnd.vigil.access.v1+json"
	maxAccessReport = 60_000 // bytes of a report's token
	maxAccessTold   = 200    // people in one report

	maxAccessAnswer = 4 << 20

	maxStudentName = 255 // bytes; longer ones are cut
)

// MaxStudentNames is how many names of students one answer gives, at most; further ones are left
// out.
const MaxStudentNames = 2000

// AccessReport is a platform's word of who may see and do what at one of its quizzes: a report
// of what has changed, or the answer to a question (docs/assertion.md). ExamID and At of the
// records are left to the caller.
type AccessReport struct {
	// Of a report: whose word it is, and of which quiz. An answer leaves them empty.
	Platform     vigil.Platform
	Deployment   string
	ResourceLink string

	Staff    []vigil.Access
	Students []vigil.Access // of these only UserID, Version and Groups count

	// Names are those of students, by user: of an answer to Tool.Students, as far as the platform
	// gives them.
	Names map[string]string
}

// Why a report of groups and rights was refused, beside the reasons of assertions.
var (
	ErrAccessSubject = &Fault{"access_subject", vigil.CodeInvalid, "The report of groups and rights is about one user or one attempt."}
	ErrAccessPeople  = &Fault{"access_people", vigil.CodeInvalid, "The report of groups and rights holds people that cannot be read."}
	ErrAccessBounds  = &Fault{"access_bounds", vigil.CodeTooMany, "The report of groups and rights is of too many people."}
)

// Why a platform's answer on groups and rights is not there.
var (
	ErrLaunchAccessURL = &Fault{"launch_access_url", vigil.CodeInvalid, "The learning platform's address for groups and rights is not on one of its own origins."}
	ErrAccessInput     = &Fault{"access_input", vigil.CodeInvalid, "This question to the learning platform is of too many people, or of somebody without a name."}
	ErrAccessURL       = &Fault{"access_url", vigil.CodeForbidden, "The learning platform's address for groups and rights is not on one of its own origins."}
	ErrAccessRefused   = &Fault{"access_refused", vigil.CodeForbidden, "The learning platform does not tell Vigil who may see and do what. Its administrator should check the tool's settings."}
	ErrAccessUnknown   = &Fault{"access_unknown", vigil.CodeNotFound, "The learning platform knows no such proctored quiz."}
	ErrAccessAnswer    = &Fault{"access_answer", vigil.CodeUnavailable, "The learning platform did not tell who may see and do what. Try again in a minute."}
)

// accessUse is the report. Its records have versions of their own, so it needs no told_at.
var accessUse = assertionUse{
	tokenUse: tokenUseAccess, life: assertionLife, size: maxAccessReport, version: 3, once: true,
	checks: []func(*judgedAssertion) error{
		checkAssertionAudience, checkAssertionUse, checkAssertionTimes, checkAssertionID, checkAccessSubject,
		checkAssertionDeployment, checkAssertionResource, checkAssertionVersion, checkAccessPeople,
	},
}

// VerifyAccess checks a platform's report, from server to server, of who may see and do what,
// and uses up its id, as VerifyAssertion does.
func (t *Tool) VerifyAccess(ctx context.Context, compact string) (AccessReport, error) {
	j, err := t.judgeAssertion(ctx, compact, accessUse)
	if err != nil {
		return AccessReport{}, err
	}
	return j.access(), nil
}

func (j *judgedAssertion) access() AccessReport {
	out := j.people
	out.Platform, out.Deployment, out.ResourceLink = j.out.Platform, j.out.Deployment, j.out.ResourceLink
	return out
}

// checkAccessSubject keeps reports of groups and rights apart from what is said of an attempt.
func checkAccessSubject(j *judgedAssertion) error {
	for _, name := range []string{"sub", claimAttempt} {
		if _, there := j.claims[name]; there {
			return ErrAccessSubject.because("has %s", name)
		}
	}
	return nil
}

func checkAccessPeople(j *judgedAssertion) error {
	staff, okStaff := j.claims.array("staff")
	students, okStudents := j.claims.array("students")
	if !okStaff || !okStudents {
		return ErrAccessPeople.because("staff or students is not an array")
	}
	if len(staff)+len(students) > maxAccessTold {
		return ErrAccessBounds.because("more than %d people", maxAccessTold)
	}
	var err error
	if j.people, err = readPeople(staff, students); err != nil {
		return ErrAccessPeople.because("%w", err)
	}
	return nil
}

// readPeople reads the records of a report or an answer: all of them, or none.
func readPeople(staff, students []any) (AccessReport, error) {
	var out AccessReport
	for _, item := range staff {
		a, err := readPerson(item)
		if err != nil {
			return AccessReport{}, fmt.Errorf("staff: %w", err)
		}
		out.Staff = append(out.Staff, a)
	}
	for _, item := range students {
		a, err := readPerson(item)
		if err != nil {
			return AccessReport{}, fmt.Errorf("students: %w", err)
		}
		a.All, a.Rights = false, nil
		out.Students = append(out.Students, a)
	}
	return out, nil
}

// readPerson reads one record. Of its members only the known names count, spelled exactly.
func readPerson(item any) (vigil.Access, error) {
	o, ok := item.(object)
	if !ok {
		return vigil.Access{}, errors.New("not an object")
	}
	known := object{}
	for _, name := range []string{"user", "version", "all", "groups", "rights"} {
		if o.has(name) {
			known[name] = o[name]
		}
	}
	raw, err := json.Marshal(known)
	if err != nil {
		return vigil.Access{}, err
	}
	a, err := vigil.ParseAccess(raw)
	if err != nil {
		return vigil.Access{}, err
	}
	if err := checkWord(a.UserID); err != nil {
		return vigil.Access{}, fmt.Errorf("user: %w", err)
	}
	return a, nil
}

// ReadSettings reads what our plugin sends with a launch of a platform (vigil.ParseSettings).
// The address that answers who may see and do what must lie on an origin of that platform.
func ReadSettings(p vigil.Platform, data string) (vigil.Settings, error) {
	s, err := vigil.ParseSettings(data)
	if err != nil {
		return vigil.Settings{}, err
	}
	if s.AccessURL != "" {
		if _, err := platformURL(p, s.AccessURL); err != nil {
			return vigil.Settings{}, ErrLaunchAccessURL.because("%w", err)
		}
	}
	return s, nil
}

// Access asks a platform who may see and do what at a quiz: the records of the given staff,
// and the groups of everyone who may attempt it. The address is the one that its plugin gave
// with a launch (vigil.AccessSource). An answer that cannot be read in full counts as none.
func (t *Tool) Access(ctx context.Context, p vigil.Platform, accessURL string, users []string) (AccessReport, error) {
	return t.askAccess(ctx, p, accessURL, accessQuestion{Users: append([]string{}, users...)}) // never null
}

// Students asks as Access does, of no staff, and for the names of those students whom a proctor
// sees. A plugin from before that was asked gives none, and neither does a platform that shares
// no names with the tool.
func (t *Tool) Students(ctx context.Context, p vigil.Platform, accessURL, proctor string) (AccessReport, error) {
	if err := checkWord(proctor); err != nil {
		return AccessReport{}, ErrAccessInput.because("the proctor: %w", err)
	}
	return t.askAccess(ctx, p, accessURL, accessQuestion{Users: []string{}, NamesFor: proctor})
}

type accessQuestion struct {
	Users    []string `json:"users"`
	NamesFor string   `json:"names_for,omitempty"`
}

func (t *Tool) askAccess(ctx context.Context, p vigil.Platform, accessURL string, q accessQuestion) (AccessReport, error) {
	users := q.Users
	if len(users) > MaxAccessAsked {
		return AccessReport{}, ErrAccessInput.because("%d users", len(users))
	}
	for _, user := range users {
		if err := checkWord(user); err != nil {
			return AccessReport{}, ErrAccessInput.because("a user: %w", err)
		}
	}
	if _, err := platformURL(p, accessURL); err != nil {
		return AccessReport{}, ErrAccessURL.because("%w", err)
	}
	body, err := json.Marshal(q)
	if err != nil {
		return AccessReport{}, err
	}
	res, err := t.callService(ctx, p, ScopeControl, maxAccessAnswer, func() (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, accessURL, bytes.NewReader(body))
		if err == nil {
			req.Header.Set("Content-Type", mediaAccess)
			req.Header.Set("Accept", mediaAccess)
		}
		return req, err
	})
	switch {
	case err != nil && FaultOf(err) != nil:
		return AccessReport{}, err
	case err != nil:
		return AccessReport{}, ErrAccessAnswer.because("%w", err)
	case res.status == http.StatusNotFound:
		return AccessReport{}, ErrAccessUnknown.because("status 404")
	case res.status == http.StatusUnauthorized || res.status == http.StatusForbidden:
		return AccessReport{}, ErrAccessRefused.because("status %d", res.status)
	case res.status != http.StatusOK:
		return AccessReport{}, ErrAccessAnswer.because("status %d", res.status)
	}
	return readAccess(res.body, q)
}

// readAccess reads an answer. Records of staff that were not asked of are left out.
func readAccess(body []byte, q accessQuestion) (AccessReport, error) {
	doc, err := parseObject(body)
	if err != nil {
		return AccessReport{}, ErrAccessAnswer.because("%w", err)
	}
	staff, okStaff := doc.array("staff")
	students, okStudents := doc.array("students")
	if !okStaff || !okStudents {
		return AccessReport{}, ErrAccessAnswer.because("staff or students is not an array")
	}
	if len(staff) > MaxAccessAsked || len(students) > maxMembers {
		return AccessReport{}, ErrAccessAnswer.because("more people than a course has")
	}
	out, err := readPeople(staff, students)
	if err != nil {
		return AccessReport{}, ErrAccessAnswer.because("%w", err)
	}
	out.Staff = slices.DeleteFunc(out.Staff, func(a vigil.Access) bool { return !slices.Contains(q.Users, a.UserID) })
	if q.NamesFor != "" {
		out.Names = readNames(students)
	}
	return out, nil
}

// readNames reads the names in records of students, which readPeople has read.
func readNames(students []any) map[string]string {
	names := map[string]string{}
	for _, item := range students {
		o, ok := item.(object)
		if !ok {
			continue
		}
		user, _ := o.str("user")
		if name := vigil.CleanName(o.text("name"), maxStudentName); name != "" {
			names[user] = name
		}
		if len(names) == MaxStudentNames {
			break
		}
	}
	return names
}
