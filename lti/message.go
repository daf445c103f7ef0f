package lti

import (
	"time"

	"vigil"
)

// MessageType is the LTI message_type of a launch.
type MessageType string

// The messages that a platform may send us.
const (
	MessageResourceLink    MessageType = "LtiResourceLinkRequest"
	MessageDeepLinking     MessageType = "LtiDeepLinkingRequest"
	MessageStartProctoring MessageType = "LtiStartProctoring"
	MessageEndAssessment   MessageType = "LtiEndAssessment"
)

// Role is what a launch lets its user be in Vigil. It is decided by whole role URIs,
// never by how one ends.
type Role string

// The roles. A proctoring launch never gives RoleProctor, whatever its roles claim says.
const (
	RoleProctor Role = "proctor"
	RoleLearner Role = "learner"
)

// Launch is a launch that passed every check. Optional claims that were absent are
// zero values. Strings that people wrote (names, titles) are text, not HTML.
type Launch struct {
	Reference  string // in the log, for people who ask for help
	Platform   vigil.Platform
	Deployment string // the platform's deployment_id; active
	Message    MessageType
	Subject    string // the user, unique within Platform; 1 to 255 characters

	Name       string // empty when the platform does not share names
	GivenName  string
	FamilyName string
	Locale     string // BCP 47 as the platform wrote it; may be empty

	Role    Role
	Roles   []string // as sent
	Context Context
	// Resource is the link that was launched. Deep linking requests have none.
	Resource ResourceLink
	// Target is the path and query, on our own origin, that the platform asked for.
	Target string
	Custom map[string]string
	// ReturnURL is launch_presentation.return_url when it lies on one of the platform's
	// origins, else empty.
	ReturnURL string
	// Window is launch_presentation.document_target: "frame", "iframe", "window" or empty.
	Window string
	// Started is when the login began. Platforms keep what a return needs for a limited
	// time after that (Open edX: 300 s), so a check-in counts from here.
	Started time.Time

	Proctoring  *Proctoring        // with MessageStartProctoring
	End         *EndAssessment     // with MessageEndAssessment
	DeepLinking *DeepLinkingPrompt // with MessageDeepLinking
	MembersURL  string             // Names and Roles service; empty when not offered
}

// Context is the course of a launch; each field may be empty.
type Context struct {
	ID    string
	Label string
	Title string
	Types []string
}

// ResourceLink is the placement that was launched. ID is unique within a deployment.
type ResourceLink struct {
	ID          string
	Title       string
	Description string
}

// Proctoring holds the claims of a LtiStartProctoring message (Proctoring Services
// 1.0, section 4.1).
type Proctoring struct {
	Attempt     int    // 1 to 1,000,000
	SessionData string // opaque, echoed in StartAssessment; never a key: Open edX repeats it
	StartURL    string // where StartAssessment is posted
	Settings    string // proctoring_settings.data; may be empty

	// Actions that the platform offers through Assessment Control, of those we know:
	// pause, resume, terminate, update, flag. Empty with an empty ControlURL.
	Actions    []string
	ControlURL string
}

// EndAssessment holds the claims of a LtiEndAssessment message. Error texts are the
// platform's: show them as text, do not log them.
type EndAssessment struct {
	Attempt  int
	ErrorMsg string
	ErrorLog string
}

// DeepLinkingPrompt is what the platform wants to have chosen (Deep Linking 2.0,
// section 4.4.1).
type DeepLinkingPrompt struct {
	ReturnURL      string
	AcceptTypes    []string // contains "ltiResourceLink": others are refused
	AcceptMultiple bool
	Title          string
	Text           string
	Data           string // opaque, echoed in the answer
}

// Claim names, of LTI core and its services. They are matched whole: the Asset
// Processor specification shares the prefix of the proctoring claims.
const (
	claimLTI                = "https://purl.imsglobal.org/spec/lti/claim/"
	claimMessageType        = claimLTI + "message_type"
	claimVersion            = claimLTI + "version"
	claimDeployment         = claimLTI + "deployment_id"
	claimTarget             = claimLTI + "target_link_uri"
	claimResourceLink       = claimLTI + "resource_link"
	claimRoles              = claimLTI + "roles"
	claimContext            = claimLTI + "context"
	claimCustom             = claimLTI + "custom"
	claimLaunchPresentation = claimLTI + "launch_presentation"

	claimDeepLinking   = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"
	claimDeepItems     = "https://purl.imsglobal.org/spec/lti-dl/claim/content_items"
	claimDeepData      = "https://purl.imsglobal.org/spec/lti-dl/claim/data"
	claimDeepMsg       = "https://purl.imsglobal.org/spec/lti-dl/claim/msg"
	claimDeepErrorMsg  = "https://purl.imsglobal.org/spec/lti-dl/claim/errormsg"
	claimNamesAndRoles = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"

	claimAP          = "https://purl.imsglobal.org/spec/lti-ap/claim/"
	claimAttempt     = claimAP + "attempt_number"
	claimStartURL    = claimAP + "start_assessment_url"
	claimSessionData = claimAP + "session_data"
	claimSettings    = claimAP + "proctoring_settings"
	claimACS         = claimAP + "acs"
	claimEndReturn   = claimAP + "end_assessment_return"
	claimErrorMsg    = claimAP + "errormsg"
	claimErrorLog    = claimAP + "errorlog"
	versionLTI       = "1.3.0"
	messageStart     = "LtiStartAssessment"
	messageDeepLink  = "LtiDeepLinkingResponse"
	tokenUseSocket   = "socket"
)

// Scopes of the services that we use.
const (
	ScopeControl = "https://purl.imsglobal.org/spec/lti-ap/scope/control.all"
	ScopeMembers = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
)
