package lti

// Role URIs of LTI core, appendix A.2.
const (
	membershipRole  = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
	instructorRole  = "http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#"
	systemAdminRole = "http://purl.imsglobal.org/vocab/lis/v2/system/person#Administrator"
)

// proctorRoles are the roles that make a person a proctor of the context they launched
// from: its instructors and their assistants, its administrators, and the platform's.
// Roles in the institution are not among them: who teaches elsewhere may be a student
// here. A sub-role counts by its own whole URI, so membership/Learner#Instructor, a
// learner's sub-role, does not.
var proctorRoles = map[string]bool{
	membershipRole + "Administrator": true,
	membershipRole + "Instructor":    true,
	systemAdminRole:                  true,

	"http://purl.imsglobal.org/vocab/lis/v2/membership/Administrator#Administrator": true,

	instructorRole + "ExternalInstructor":                  true,
	instructorRole + "Grader":                              true,
	instructorRole + "Lecturer":                            true,
	instructorRole + "PrimaryInstructor":                   true,
	instructorRole + "SecondaryInstructor":                 true,
	instructorRole + "TeachingAssistant":                   true,
	instructorRole + "TeachingAssistantGroup":              true,
	instructorRole + "TeachingAssistantOffering":           true,
	instructorRole + "TeachingAssistantSection":            true,
	instructorRole + "TeachingAssistantSectionAssociation": true,
}

// roleOf decides by whole URIs. Whoever is not known to be more is a learner.
func roleOf(roles []string) Role {
	for _, r := range roles {
		if proctorRoles[r] {
			return RoleProctor
		}
	}
	return RoleLearner
}
