package lti

import (
	"context"
	"crypto/subtle"
	"slices"
	"strings"
	"time"

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
	key, err := j.tool.sets.key(ctx, j.login.KeySetURL, j.platform.Private, j.head.Kid, j.platform.Updated)
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
		return ErrLaunchExpires.because("%s ago", span(-left))
	case left > maxTokenTTL.Seconds():
		return ErrLaunchExpires.because("%s ahead", span(left))
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
		return ErrLaunchIssuedAt.because("%s ahead", span(-age))
	case age > maxTokenAge.Seconds():
		return ErrLaunchIssuedAt.because("%s ago", span(age))
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
		return ErrLaunchNotBefore.because("%s ahead", span(ahead))
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

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// span writes seconds that a token may have made any number.
func span(seconds float64) string {
	const most = 100 * 365 * 24 * 3600
	return vigil.Span(time.Duration(max(-most, min(seconds, most)) * float64(time.Second)))
}
