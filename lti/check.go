package lti

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"vigil"
)

// Times that a launch is held to.
const (
	clockSkew   = 60 * time.Second
	maxTokenAge = 10 * time.Minute // iat
	maxTokenTTL = 24 * time.Hour   // exp
)

// Why a launch's token was refused, in the order of the checks.
var (
	ErrLaunchToken         = &Fault{"launch_token", vigil.CodeUnauthorized, "The learning platform's message cannot be read. Start again from your course."}
	ErrLaunchAlgorithm     = &Fault{"launch_algorithm", vigil.CodeUnauthorized, "The learning platform's message is signed in a way that is not accepted (RS256 is)."}
	ErrLaunchKey           = &Fault{"launch_key", vigil.CodeUnauthorized, "The learning platform's message is signed with a key that it does not publish, or that is not safe. Start again from your course."}
	ErrLaunchSignature     = &Fault{"launch_signature", vigil.CodeUnauthorized, "The signature of the learning platform's message is not valid. Start again from your course."}
	ErrLaunchClaims        = &Fault{"launch_claims", vigil.CodeUnauthorized, "The learning platform's message is not well-formed."}
	ErrLaunchIssuer        = &Fault{"launch_issuer", vigil.CodeUnauthorized, "The message comes from another learning platform than the one that began this launch."}
	ErrLaunchAudience      = &Fault{"launch_audience", vigil.CodeUnauthorized, "The learning platform's message is meant for another tool."}
	ErrLaunchParty         = &Fault{"launch_azp", vigil.CodeUnauthorized, "The learning platform's message is meant for another tool."}
	ErrLaunchExpires       = &Fault{"launch_exp", vigil.CodeUnauthorized, "The learning platform's message has expired. Start again from your course. If it happens again, the clocks of the two servers may differ."}
	ErrLaunchIssuedAt      = &Fault{"launch_iat", vigil.CodeUnauthorized, "The learning platform's message was not made now. Start again from your course. If it happens again, the clocks of the two servers may differ."}
	ErrLaunchNotBefore     = &Fault{"launch_nbf", vigil.CodeUnauthorized, "The learning platform's message is not valid yet: the clocks of the two servers differ."}
	ErrLaunchNonce         = &Fault{"launch_nonce", vigil.CodeUnauthorized, "The learning platform's message does not belong to this launch. Start again from your course."}
	ErrLaunchTokenUse      = &Fault{"launch_token_use", vigil.CodeUnauthorized, "This token is not a launch."}
	ErrLaunchSubject       = &Fault{"launch_sub", vigil.CodeInvalid, "The learning platform did not say who you are. Its administrator should check the tool's privacy settings."}
	ErrLaunchDeployment    = &Fault{"launch_deployment", vigil.CodeInvalid, "The learning platform did not say which placement of Vigil this is (deployment id)."}
	ErrLaunchDeploymentNew = &Fault{"launch_deployment_pending", vigil.CodeForbidden, "This placement of Vigil in the learning platform (deployment) is new here. It was noted and waits for the approval of Vigil's operator."}
	ErrLaunchVersion       = &Fault{"launch_version", vigil.CodeInvalid, "The learning platform's message is not LTI 1.3."}
	ErrLaunchMessage       = &Fault{"launch_message_type", vigil.CodeInvalid, "Vigil does not know this kind of launch."}
	ErrLaunchTarget        = &Fault{"launch_target", vigil.CodeInvalid, "The learning platform asked for a page that is not Vigil's. Its administrator should check the tool's URL."}
	ErrLaunchRoles         = &Fault{"launch_roles", vigil.CodeInvalid, "The learning platform's list of roles is not well-formed."}
	ErrLaunchResource      = &Fault{"launch_resource_link", vigil.CodeInvalid, "The learning platform did not say which activity this is."}
	ErrLaunchContext       = &Fault{"launch_context", vigil.CodeInvalid, "The learning platform's description of the course is not well-formed."}
	ErrLaunchPerson        = &Fault{"launch_person", vigil.CodeInvalid, "The learning platform's description of the user is not well-formed."}
	ErrLaunchCustom        = &Fault{"launch_custom", vigil.CodeInvalid, "The learning platform's custom parameters are not well-formed."}
	ErrLaunchPresentation  = &Fault{"launch_presentation", vigil.CodeInvalid, "The learning platform's return address is not usable."}
	ErrLaunchMembersURL    = &Fault{"launch_members_url", vigil.CodeInvalid, "The learning platform's roster address is not on one of its own origins."}
	ErrLaunchDeepLinking   = &Fault{"launch_deep_linking", vigil.CodeInvalid, "The learning platform's deep linking settings are not complete."}
	ErrLaunchDeepLinkURL   = &Fault{"launch_deep_link_url", vigil.CodeInvalid, "The learning platform's deep linking return address is not on one of its own origins."}
	ErrLaunchAttempt       = &Fault{"launch_attempt_number", vigil.CodeInvalid, "The learning platform did not say which attempt this is."}
	ErrLaunchSessionData   = &Fault{"launch_session_data", vigil.CodeInvalid, "The learning platform's message lacks what is needed to return to the quiz (session data)."}
	ErrLaunchStartURL      = &Fault{"launch_start_url", vigil.CodeInvalid, "The learning platform's address for starting the assessment is not on one of its own origins."}
	ErrLaunchSettings      = &Fault{"launch_proctoring_settings", vigil.CodeInvalid, "The learning platform's proctoring settings are not well-formed."}
	ErrLaunchControl       = &Fault{"launch_acs", vigil.CodeInvalid, "The learning platform's assessment control settings are not well-formed."}
	ErrLaunchControlURL    = &Fault{"launch_control_url", vigil.CodeInvalid, "The learning platform's assessment control address is not on one of its own origins."}
)

// judged is a launch on its way through the checks: what it is judged by, and what has
// been found so far.
type judged struct {
	tool     *Tool
	form     launchForm
	bound    bool
	login    loginRecord
	platform vigil.Platform
	now      time.Time

	head    header
	payload []byte
	claims  object
	out     Launch
}

// launchChecks are the checks of a launch in the order of the specifications: the
// browser, the platform, then OpenID Connect core 3.1.3.7 and LTI security framework
// 5.1.3, LTI core 5.3 and 5.4, Deep Linking 4.4.1, Proctoring Services 4.1 and 4.3.
// Each is named by its sentinel.
var launchChecks = []struct {
	name  string
	check func(context.Context, *judged) error
}{
	{"binding", checkBinding},
	{"platform error", checkPlatformError},
	{"platform", checkPlatform},
	{"token", checkToken},
	{"algorithm", checkAlgorithm},
	{"signature", checkSignature},
	{"claims", checkClaims},
	{"issuer", checkIssuer},
	{"audience", checkAudience},
	{"authorized party", checkParty},
	{"expires", checkExpires},
	{"issued at", checkIssuedAt},
	{"not before", checkNotBefore},
	{"nonce", checkNonce},
	{"token use", checkTokenUse},
	{"version", checkVersion},
	{"message type", checkMessage},
	{"subject", checkSubject},
	{"target link", checkTarget},
	{"roles", checkRoles},
	{"resource link", checkResource},
	{"context", checkContext},
	{"person", checkPerson},
	{"custom", checkCustom},
	{"launch presentation", checkPresentation},
	{"members service", checkMembers},
	{"deep linking", checkDeepLinking},
	{"attempt number", checkAttempt},
	{"session data", checkSessionData},
	{"start URL", checkStartURL},
	{"proctoring settings", checkSettings},
	{"assessment control", checkControl},
	{"end of assessment", checkEnd},
	// Last, because it may write: only a launch that is right in everything else brings a
	// deployment to the operator's attention.
	{"deployment", checkDeployment},
}

func checkBinding(_ context.Context, j *judged) error {
	if !j.bound {
		return ErrLaunchBinding.because("neither cookie nor platform storage")
	}
	return nil
}

func checkPlatformError(_ context.Context, j *judged) error {
	if j.form.platformError != "" {
		return ErrLaunchPlatformError.because("reported by the platform")
	}
	return nil
}

// checkPlatform refuses a launch whose platform was switched off or changed since login.
func checkPlatform(_ context.Context, j *judged) error {
	p := j.platform
	if p.State != vigil.PlatformActive {
		return ErrLaunchPlatform.because("%s", p.State)
	}
	if p.Issuer != j.login.Issuer || p.ClientID != j.login.ClientID || p.KeySetURL != j.login.KeySetURL {
		return ErrLaunchPlatform.because("changed since the login")
	}
	return nil
}

func checkToken(_ context.Context, j *judged) error {
	var err error
	if j.head, j.payload, err = splitToken(j.form.idToken); err != nil {
		return ErrLaunchToken.because("%w", err)
	}
	if typ := j.head.Typ; typ != "" && !strings.EqualFold(typ, jwtType) {
		return ErrLaunchToken.because("typ")
	}
	return nil
}

func checkAlgorithm(_ context.Context, j *judged) error {
	if j.head.Alg != algRS256 {
		return ErrLaunchAlgorithm.because("alg")
	}
	return nil
}

// checkSignature verifies with the key of that id in the key set noted at login.
func checkSignature(ctx context.Context, j *judged) error {
	if j.head.Kid == "" {
		return ErrLaunchKey.because("no kid")
	}
	key, err := j.tool.sets.key(ctx, j.login.KeySetURL, j.platform.Private, j.head.Kid)
	if err != nil {
		if vigil.CodeOf(err) == vigil.CodeUnavailable {
			return err
		}
		return ErrLaunchKey.because("%w", err)
	}
	if err := verifyToken(j.form.idToken, algRS256, key.key); err != nil {
		return ErrLaunchSignature.because("not valid under the key")
	}
	return nil
}

func checkClaims(_ context.Context, j *judged) error {
	var err error
	if j.claims, err = parseObject(j.payload); err != nil {
		return ErrLaunchClaims.because("%w", err)
	}
	return nil
}

func checkIssuer(_ context.Context, j *judged) error {
	if iss, ok := j.claims.str("iss"); !ok || iss != j.login.Issuer {
		return ErrLaunchIssuer.because("iss")
	}
	return nil
}

func checkAudience(_ context.Context, j *judged) error {
	if aud, ok := j.claims.str("aud"); ok && aud == j.login.ClientID {
		return nil
	}
	if list, ok := j.claims.strings("aud"); ok && slices.Contains(list, j.login.ClientID) {
		return nil
	}
	return ErrLaunchAudience.because("aud")
}

// checkParty wants azp to be us when there are several audiences, and refuses a foreign
// one always.
func checkParty(_ context.Context, j *judged) error {
	azp, there := j.claims["azp"]
	if list, ok := j.claims.strings("aud"); ok && len(list) > 1 && !there {
		return ErrLaunchParty.because("several audiences, no azp")
	}
	if there && azp != any(j.login.ClientID) {
		return ErrLaunchParty.because("foreign azp")
	}
	return nil
}

func checkExpires(_ context.Context, j *judged) error {
	exp, ok := j.claims.number("exp")
	if !ok {
		return ErrLaunchExpires.because("exp is not a number")
	}
	switch left := exp - seconds(j.now); {
	case left < -clockSkew.Seconds():
		return ErrLaunchExpires.because("%.0f s ago", -left)
	case left > maxTokenTTL.Seconds():
		return ErrLaunchExpires.because("%.0f s ahead", left)
	}
	return nil
}

func checkIssuedAt(_ context.Context, j *judged) error {
	iat, ok := j.claims.number("iat")
	if !ok {
		return ErrLaunchIssuedAt.because("iat is not a number")
	}
	switch age := seconds(j.now) - iat; {
	case age < -clockSkew.Seconds():
		return ErrLaunchIssuedAt.because("%.0f s ahead", -age)
	case age > maxTokenAge.Seconds():
		return ErrLaunchIssuedAt.because("%.0f s ago", age)
	}
	return nil
}

func checkNotBefore(_ context.Context, j *judged) error {
	if _, there := j.claims["nbf"]; !there {
		return nil
	}
	nbf, ok := j.claims.number("nbf")
	if !ok {
		return ErrLaunchNotBefore.because("nbf is not a number")
	}
	if ahead := nbf - seconds(j.now); ahead > clockSkew.Seconds() {
		return ErrLaunchNotBefore.because("%.0f s ahead", ahead)
	}
	return nil
}

// checkNonce needs no memory of nonces: the record that holds the nonce is spent.
func checkNonce(_ context.Context, j *judged) error {
	nonce, ok := j.claims.str("nonce")
	if !ok || subtle.ConstantTimeCompare([]byte(nonce), []byte(j.login.Nonce)) != 1 {
		return ErrLaunchNonce.because("nonce")
	}
	return nil
}

// checkTokenUse keeps a quiz page's assertion from serving as a launch.
func checkTokenUse(_ context.Context, j *judged) error {
	if _, there := j.claims["token_use"]; there {
		return ErrLaunchTokenUse.because("token_use")
	}
	return nil
}

func checkVersion(_ context.Context, j *judged) error {
	if v, _ := j.claims.str(claimVersion); v != versionLTI {
		return ErrLaunchVersion.because("version")
	}
	return nil
}

func checkMessage(_ context.Context, j *judged) error {
	kind, _ := j.claims.str(claimMessageType)
	switch m := MessageType(kind); m {
	case MessageResourceLink, MessageDeepLinking, MessageStartProctoring, MessageEndAssessment:
		j.out.Message = m
		return nil
	}
	return ErrLaunchMessage.because("message_type")
}

func checkSubject(_ context.Context, j *judged) error {
	sub, ok := j.claims.str("sub")
	if !ok || checkWord(sub, maxSubject) != nil {
		return ErrLaunchSubject.because("sub")
	}
	j.out.Subject = sub
	return nil
}

// checkTarget judges the token's target_link_uri; the login's is a hint that Open edX
// changes in between. The messages about an attempt may leave it out: they have one
// place to go to.
func checkTarget(_ context.Context, j *judged) error {
	target, ok := j.claims.str(claimTarget)
	if !ok {
		if _, there := j.claims[claimTarget]; !there && j.aboutAttempt() {
			j.out.Target = j.login.Target
			return nil
		}
		return ErrLaunchTarget.because("target_link_uri")
	}
	path, err := j.tool.ownTarget(target)
	if err != nil {
		return ErrLaunchTarget.because("%w", err)
	}
	j.out.Target = path
	return nil
}

func (j *judged) aboutAttempt() bool {
	return j.out.Message == MessageStartProctoring || j.out.Message == MessageEndAssessment
}

// checkRoles reads the roles. They are required by LTI core, but Open edX sends null or
// nothing with proctoring messages, which give no rights anyway.
func checkRoles(_ context.Context, j *judged) error {
	j.out.Role = RoleLearner
	if !j.claims.has(claimRoles) {
		if _, there := j.claims[claimRoles]; there || j.aboutAttempt() {
			return nil
		}
		return ErrLaunchRoles.because("no roles")
	}
	roles, ok := j.claims.strings(claimRoles)
	if !ok || len(roles) > 200 {
		return ErrLaunchRoles.because("not an array of strings, or too many")
	}
	for _, r := range roles {
		if len(r) > 1024 || !plainText(r) {
			return ErrLaunchRoles.because("not a role")
		}
	}
	j.out.Roles = roles
	if !j.aboutAttempt() {
		j.out.Role = roleOf(roles)
	}
	return nil
}

func checkResource(_ context.Context, j *judged) error {
	if j.out.Message == MessageDeepLinking {
		return nil
	}
	link, _ := j.claims.object(claimResourceLink)
	id, _ := link.str("id")
	if checkWord(id, maxSubject) != nil {
		return ErrLaunchResource.because("resource_link.id")
	}
	for _, name := range []string{"title", "description"} {
		if link.has(name) {
			if _, ok := link.str(name); !ok {
				return ErrLaunchResource.because("%s is not a string", name)
			}
		}
	}
	j.out.Resource = ResourceLink{ID: id, Title: link.text("title"), Description: link.text("description")}
	return nil
}

// checkContext reads the course. Open edX sends {"id": null}; Moodle's types are short
// names.
func checkContext(_ context.Context, j *judged) error {
	if !j.claims.has(claimContext) {
		return nil
	}
	c, ok := j.claims.object(claimContext)
	if !ok {
		return ErrLaunchContext.because("not an object")
	}
	for _, name := range []string{"id", "label", "title"} {
		if c.has(name) {
			if _, ok := c.str(name); !ok {
				return ErrLaunchContext.because("%s is not a string", name)
			}
		}
	}
	id, _ := c.str("id")
	if id != "" && checkWord(id, maxSubject) != nil {
		return ErrLaunchContext.because("id")
	}
	j.out.Context = Context{ID: id, Label: c.text("label"), Title: c.text("title")}
	if c.has("type") {
		types, ok := c.strings("type")
		if !ok || len(types) > 50 {
			return ErrLaunchContext.because("type")
		}
		j.out.Context.Types = types
	}
	return nil
}

func checkPerson(_ context.Context, j *judged) error {
	for name, dst := range map[string]*string{
		"name": &j.out.Name, "given_name": &j.out.GivenName, "family_name": &j.out.FamilyName, "locale": &j.out.Locale,
	} {
		if !j.claims.has(name) {
			continue
		}
		if _, ok := j.claims.str(name); !ok {
			return ErrLaunchPerson.because("%s is not a string", name)
		}
		*dst = j.claims.text(name)
	}
	return nil
}

func checkCustom(_ context.Context, j *judged) error {
	if !j.claims.has(claimCustom) {
		return nil
	}
	// PHP writes an empty object as an empty array.
	if list, ok := j.claims.array(claimCustom); ok && len(list) == 0 {
		return nil
	}
	c, ok := j.claims.object(claimCustom)
	if !ok {
		return ErrLaunchCustom.because("not an object")
	}
	j.out.Custom = make(map[string]string, len(c))
	for name, value := range c {
		switch v := value.(type) {
		case string:
			j.out.Custom[name] = v
		case nil:
		default:
			return ErrLaunchCustom.because("a value is not a string")
		}
	}
	return nil
}

// checkPresentation refuses a return URL that no browser should be sent to. One that is
// only on an origin we do not know is left out: nothing depends on it.
func checkPresentation(_ context.Context, j *judged) error {
	if !j.claims.has(claimLaunchPresentation) {
		return nil
	}
	if list, ok := j.claims.array(claimLaunchPresentation); ok && len(list) == 0 {
		return nil
	}
	lp, ok := j.claims.object(claimLaunchPresentation)
	if !ok {
		return ErrLaunchPresentation.because("not an object")
	}
	if lp.has("return_url") {
		raw, ok := lp.str("return_url")
		if !ok {
			return ErrLaunchPresentation.because("return_url is not a string")
		}
		if raw != "" {
			if _, err := parseWebURL(strings.SplitN(raw, "#", 2)[0]); err != nil {
				return ErrLaunchPresentation.because("return_url: %w", err)
			}
			if u, err := platformURL(j.platform, raw); err == nil {
				j.out.ReturnURL = u
			}
		}
	}
	if window, ok := lp.str("document_target"); ok && slices.Contains([]string{"frame", "iframe", "window"}, window) {
		j.out.Window = window
	}
	if j.out.Locale == "" {
		j.out.Locale = lp.text("locale")
	}
	return nil
}

func checkMembers(_ context.Context, j *judged) error {
	if !j.claims.has(claimNamesAndRoles) {
		return nil
	}
	service, ok := j.claims.object(claimNamesAndRoles)
	if !ok {
		return ErrLaunchMembersURL.because("not an object")
	}
	if !service.has("context_memberships_url") {
		return nil
	}
	raw, _ := service.str("context_memberships_url")
	u, err := platformURL(j.platform, raw)
	if err != nil {
		return ErrLaunchMembersURL.because("%w", err)
	}
	j.out.MembersURL = u
	return nil
}

func checkDeepLinking(_ context.Context, j *judged) error {
	if j.out.Message != MessageDeepLinking {
		return nil
	}
	s, ok := j.claims.object(claimDeepLinking)
	if !ok {
		return ErrLaunchDeepLinking.because("no settings")
	}
	raw, _ := s.str("deep_link_return_url")
	to, err := platformURL(j.platform, raw)
	if err != nil {
		return ErrLaunchDeepLinkURL.because("%w", err)
	}
	types, ok := s.strings("accept_types")
	if !ok || !slices.Contains(types, contentResourceLink) {
		return ErrLaunchDeepLinking.because("does not accept %s", contentResourceLink)
	}
	prompt := &DeepLinkingPrompt{ReturnURL: to, AcceptTypes: types, Title: s.text("title"), Text: s.text("text")}
	if s.has("accept_multiple") {
		if prompt.AcceptMultiple, ok = s["accept_multiple"].(bool); !ok {
			return ErrLaunchDeepLinking.because("accept_multiple is not a boolean")
		}
	}
	if s.has("data") {
		if prompt.Data, ok = s.str("data"); !ok {
			return ErrLaunchDeepLinking.because("data is not a string")
		}
	}
	j.out.DeepLinking = prompt
	return nil
}

func checkAttempt(_ context.Context, j *judged) error {
	if !j.aboutAttempt() {
		return nil
	}
	n, ok := j.claims.integer(claimAttempt)
	if !ok || n < 1 || n > maxAttempt {
		return ErrLaunchAttempt.because("attempt_number")
	}
	if j.out.Message == MessageEndAssessment {
		j.out.End = &EndAssessment{Attempt: int(n)}
		return nil
	}
	j.out.Proctoring = &Proctoring{Attempt: int(n)}
	return nil
}

func checkSessionData(_ context.Context, j *judged) error {
	if j.out.Proctoring == nil {
		return nil // Open edX sends null with EndAssessment
	}
	data, ok := j.claims.str(claimSessionData)
	if !ok || data == "" || len(data) > maxSessionData {
		return ErrLaunchSessionData.because("session_data")
	}
	j.out.Proctoring.SessionData = data
	return nil
}

func checkStartURL(_ context.Context, j *judged) error {
	if j.out.Proctoring == nil {
		return nil
	}
	raw, _ := j.claims.str(claimStartURL)
	u, err := platformURL(j.platform, raw)
	if err != nil {
		return ErrLaunchStartURL.because("%w", err)
	}
	j.out.Proctoring.StartURL = u
	return nil
}

func checkSettings(_ context.Context, j *judged) error {
	if j.out.Proctoring == nil || !j.claims.has(claimSettings) {
		return nil
	}
	s, ok := j.claims.object(claimSettings)
	if !ok {
		return ErrLaunchSettings.because("not an object")
	}
	if !s.has("data") {
		return nil
	}
	data, ok := s.str("data")
	if !ok || len(data) > maxSessionData {
		return ErrLaunchSettings.because("data is not a string, or too long")
	}
	j.out.Proctoring.Settings = data
	return nil
}

// checkControl reads what Assessment Control the platform offers. Actions that we do not
// know are left out.
func checkControl(_ context.Context, j *judged) error {
	if j.out.Proctoring == nil || !j.claims.has(claimACS) {
		return nil
	}
	acs, ok := j.claims.object(claimACS)
	if !ok {
		return ErrLaunchControl.because("not an object")
	}
	actions, ok := acs.strings("actions")
	if !ok && acs.has("actions") {
		return ErrLaunchControl.because("actions is not an array of strings")
	}
	if !acs.has("assessment_control_url") {
		return nil
	}
	raw, _ := acs.str("assessment_control_url")
	u, err := platformURL(j.platform, raw)
	if err != nil {
		return ErrLaunchControlURL.because("%w", err)
	}
	for _, a := range actions {
		if slices.Contains(controlActions, a) && !slices.Contains(j.out.Proctoring.Actions, a) {
			j.out.Proctoring.Actions = append(j.out.Proctoring.Actions, a)
		}
	}
	j.out.Proctoring.ControlURL = u
	return nil
}

// checkEnd reads the platform's error texts. Some platforms' claim names have a stray
// space at either end.
func checkEnd(_ context.Context, j *judged) error {
	if j.out.End == nil {
		return nil
	}
	for name, dst := range map[string]*string{claimErrorMsg: &j.out.End.ErrorMsg, claimErrorLog: &j.out.End.ErrorLog} {
		for _, spelled := range []string{name, name + " ", " " + name, " " + name + " "} {
			if s := j.claims.text(spelled); s != "" {
				*dst = s
				break
			}
		}
	}
	return nil
}

// checkDeployment accepts an active deployment and nothing else; see deployment.go for
// what becomes of one that is not known.
func checkDeployment(ctx context.Context, j *judged) error {
	id, ok := j.claims.str(claimDeployment)
	if !ok || checkWord(id, maxSubject) != nil {
		return ErrLaunchDeployment.because("deployment_id")
	}
	if j.login.Deployment != "" && j.login.Deployment != id {
		return ErrLaunchDeployment.because("another than the login named")
	}
	d, err := j.tool.cfg.Store.Deployment(ctx, j.platform.ID, id)
	if errors.Is(err, vigil.ErrNotFound) {
		d, err = j.tool.newDeployment(ctx, j.platform, id)
	}
	if err != nil {
		return ErrLaunchStore.because("%w", err)
	}
	if d.State != vigil.DeploymentActive {
		return ErrLaunchDeploymentNew.because("%s", d.State)
	}
	j.out.Deployment = id
	return nil
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// text returns a string for people to read: bounded, without control characters. What is
// not a string is empty.
func (o object) text(name string) string {
	s, _ := o.str(name)
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < ' ' || r >= 0x7f && r <= 0x9f || r == utf8.RuneError:
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(truncate(s, maxMessageText))
}
