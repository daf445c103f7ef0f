package ltitest

import (
	"log/slog"
	"net/http"
	"time"
)

// Like says whose manners the platform has.
type Like int

// The manners.
const (
	// Moodle, with Vigil's plugin in it unless Config.NoProctoring is set.
	Moodle Like = iota
	// OpenEdX, as lti-consumer-xblock and edx-exams were seen to behave: no Dynamic
	// Registration; each registered tool (one for course links, one for proctoring)
	// has its own key set and token URL on one issuer; deployment "1" always; a key
	// set with key_ops and without alg and use; a second "?" in a login URL that has
	// a query; null contexts; id_tokens of an hour; no roles for proctoring; the same
	// session data for every attempt; 403 without WWW-Authenticate; 500 for a bad
	// StartAssessment, without leeway; control offers terminate only, wants
	// application/json and a severity in a string, and answers without a status.
	OpenEdX
)

// Config is how a platform is made. The zero value works with Serve; New wants an
// Issuer.
type Config struct {
	Issuer string // base URL without a trailing slash; Serve fills it in
	Like   Like
	// Plugin is the version of Vigil's plugin in it: 1 as it was before page stamps, with
	// ends that move while paused and no word of what was done. Default
	// vigil.PluginVersion. Negative: there is none, and the platform offers Proctoring
	// Services by itself.
	Plugin int
	Now    func() time.Time // default time.Now
	Log    *slog.Logger     // default discards
	Client *http.Client     // fetches tools' key sets; default: 5 s, no redirects

	KeyBits      int           // RSA size, default 2048
	Users        []User        // default DefaultUsers
	Course       Context       // default: a small biology course, id "2"
	Links        []Link        // activities known from the start; default one quiz, "quiz-2"
	NoProctoring bool          // Moodle as it comes, without Vigil's plugin
	PageSize     int           // members per page of Names and Roles; default: all
	SessionLife  time.Duration // how long session_data is taken; default 1 h, OpenEdX 300 s
	Mischief     Mischief

	// Started is called when a StartAssessment was verified and the same user's
	// browser came to continue.php; it writes the answer. Default: a plain page.
	Started func(w http.ResponseWriter, r *http.Request, a Attempt)
	// DeepLinked is called when a deep linking answer was verified; the links it
	// brought are known already. Default: a plain page.
	DeepLinked func(w http.ResponseWriter, r *http.Request, d DeepLink)
	// Failed shows an error to a person. Default: text.
	Failed func(w http.ResponseWriter, r *http.Request, status int, message string)
	// AttemptReturnURL is launch_presentation.return_url of launches of an attempt
	// (the review page, say). Default: a plain page.
	AttemptReturnURL func(a Attempt) string
	// Changed is called after each change of what Export returns, without locks held.
	Changed func()
}

// Role is what a user is in the course.
type Role string

// The roles.
const (
	Learner    Role = "Learner"
	Instructor Role = "Instructor"
)

// URIs are the role as LTI roles.
func (r Role) URIs() []string {
	const m = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
	return []string{m + string(r)}
}

// User is a person of the platform.
type User struct {
	ID     string `json:"id"`
	Given  string `json:"given"`
	Family string `json:"family"`
	Email  string `json:"email"`
	Role   Role   `json:"role"`
	// Simulated marks a person who is a program, for lists of people to choose from.
	Simulated bool `json:"simulated,omitempty"`
}

// Name is the full name.
func (u User) Name() string { return u.Given + " " + u.Family }

// DefaultUsers are six students and an instructor, with Moodle's kind of ids.
func DefaultUsers() []User {
	return []User{
		{ID: "2", Given: "Ingrid", Family: "Solberg", Email: "ingrid@lms.example", Role: Instructor},
		{ID: "3", Given: "Amara", Family: "Okafor", Email: "amara@lms.example", Role: Learner},
		{ID: "4", Given: "Budi", Family: "Santoso", Email: "budi@lms.example", Role: Learner},
		{ID: "5", Given: "Chiara", Family: "Moretti", Email: "chiara@lms.example", Role: Learner},
		{ID: "6", Given: "Daniel", Family: "Kowalski", Email: "daniel@lms.example", Role: Learner},
		{ID: "7", Given: "Leila", Family: "Haddad", Email: "leila@lms.example", Role: Learner},
		{ID: "8", Given: "Mateo", Family: "Vargas", Email: "mateo@lms.example", Role: Learner},
	}
}

// Context is the course of a launch.
type Context struct {
	ID    string   `json:"id"`
	Label string   `json:"label"`
	Title string   `json:"title"`
	Type  []string `json:"type"`
}

// Link is an activity of the course: a quiz that is proctored, or an activity that
// deep linking made.
type Link struct {
	ID        string            `json:"id"` // resource_link id
	Title     string            `json:"title"`
	Text      string            `json:"text,omitempty"`
	URL       string            `json:"url,omitempty"` // target_link_uri; default the tool's
	Custom    map[string]string `json:"custom,omitempty"`
	ClientID  string            `json:"clientID,omitempty"`
	TimeLimit time.Duration     `json:"timeLimit,omitempty"` // of an attempt; none when 0
	// Settings is proctoring_settings.data. Vigil's plugin sends JSON,
	// {"vigil":2,"policy":{…},"attempt_started":…}: where it holds vigil, the platform puts
	// in its own version, from version 2 on when the launched attempt began, and from version 3
	// on who may see and do what (SetAccess, SetGroups).
	Settings    string `json:"settings,omitempty"`
	Unproctored bool   `json:"unproctored,omitempty"` // proctoring was switched off
}

// Tool is a registered tool.
type Tool struct {
	ClientID     string `json:"clientID"` // made by Register when empty
	DeploymentID string `json:"deploymentID"`
	Name         string `json:"name"`

	LoginURL      string   `json:"loginURL"`
	RedirectURIs  []string `json:"redirectURIs"`
	TargetLinkURI string   `json:"targetLinkURI"`
	DeepLinkURI   string   `json:"deepLinkURI"` // target of deep linking; default TargetLinkURI
	KeySetURL     string   `json:"keySetURL"`

	Scopes  []string          `json:"scopes"` // granted; default all that the platform offers
	Custom  map[string]string `json:"custom,omitempty"`
	Pending bool              `json:"pending"` // registered, not activated: Moodle launches it all the same
}

// Endpoints are what an admin copies into the tool when he registers it by hand.
type Endpoints struct {
	Issuer        string
	Configuration string // empty when the platform has no Dynamic Registration
	Registration  string
	Authorization string
	Token         string
	TokenAudience string
	KeySet        string
	Control       string
	Members       string
}

// Message is a message type.
type Message string

// The messages of the platform, and what a tool sends back.
const (
	ResourceLink     Message = "LtiResourceLinkRequest"
	DeepLinking      Message = "LtiDeepLinkingRequest"
	StartProctoring  Message = "LtiStartProctoring"
	EndAssessment    Message = "LtiEndAssessment"
	StartAssessment  Message = "LtiStartAssessment"
	DeepLinkResponse Message = "LtiDeepLinkingResponse"
)

// Launch is what a launch is to be. Only ClientID, UserID and Message are needed;
// for proctoring messages Attempt too.
type Launch struct {
	Message  Message
	ClientID string
	UserID   string
	LinkID   string // default: the first link
	Attempt  int    // proctoring: attempt_number
	Roles    []string
	Target   string // target_link_uri; default the link's, then the tool's
	Custom   map[string]string
	Return   string // launch_presentation.return_url

	ErrorMessage string // EndAssessment: errormsg
	ErrorLog     string
}

// Endpoint names a part of the platform in counters and mischief.
type Endpoint string

// The endpoints.
const (
	AtConfiguration   Endpoint = "configuration"
	AtRegistration    Endpoint = "registration"
	AtLaunch          Endpoint = "launch"
	AtAuthorization   Endpoint = "authorization"
	AtKeySet          Endpoint = "keyset"
	AtToken           Endpoint = "token"
	AtMembers         Endpoint = "members"
	AtControl         Endpoint = "control"
	AtStartAssessment Endpoint = "start"
	AtContinue        Endpoint = "continue"
	AtDeepLinkReturn  Endpoint = "deeplink"
	AtAssertion       Endpoint = "assertion"
	AtAccess          Endpoint = "access"
)

// Names of scopes, claims and media types that both sides must spell alike.
const (
	ScopeControl = "https://purl.imsglobal.org/spec/lti-ap/scope/control.all"
	ScopeMembers = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"

	MediaControl = "application/vnd.ims.lti-ap.v1.control+json"
	MediaMembers = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
	MediaAccess  = "application/vnd.vigil.access.v1+json"

	ClaimLTI  = "https://purl.imsglobal.org/spec/lti/claim/"
	ClaimAP   = "https://purl.imsglobal.org/spec/lti-ap/claim/"
	ClaimDL   = "https://purl.imsglobal.org/spec/lti-dl/claim/"
	ClaimNRPS = "https://purl.imsglobal.org/spec/lti-nrps/claim/"
)
