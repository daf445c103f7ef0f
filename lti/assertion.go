package lti

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"vigil"
)

// Times and bounds of assertions and page stamps.
const (
	assertionLife = 60 * time.Second // exp - iat, at most
	maxAssertion  = 16 << 10
	kindAssertion = "lti.assertion" // Record kind: ids of assertions that were used
	maxMoment     = 1 << 40         // seconds; far beyond any exam
	maxReportAge  = time.Hour       // from what a token says to its iat; more is a mistake, such as seconds for milliseconds
	maxRequests   = 200
	maxRequestID  = 64 // characters

	claimVigil      = "vigil"
	claimToldAt     = "told_at"
	claimAttemptEnd = "attempt_end"
	claimPausedAt   = "attempt_paused_at"
	claimPauseCause = "attempt_pause_cause"
	claimRequests   = "requests"
)

// Assertion is a platform's word that one of its users is in one of its attempts now. A
// quiz page exchanges it for a socket token. The format is described in
// docs/assertion.md; its test vectors are in testdata/assertions.json.
type Assertion struct {
	Platform     vigil.Platform
	Deployment   string
	Subject      string
	ResourceLink string
	Attempt      int
	Report       vigil.Report // what the platform says of the attempt's end
	ID           string       // jti
	Issued       time.Time
	Expires      time.Time
}

// Why an assertion was refused, in the order of the checks.
var (
	ErrAssertionForm         = &Fault{"assertion_form", vigil.CodeInvalid, "The quiz page's assertion cannot be read."}
	ErrAssertionPlatform     = &Fault{"assertion_platform", vigil.CodeUnauthorized, "The quiz page's learning platform is not registered here, or not active."}
	ErrAssertionAlgorithm    = &Fault{"assertion_algorithm", vigil.CodeUnauthorized, "The quiz page's assertion is signed in a way that is not accepted."}
	ErrAssertionKey          = &Fault{"assertion_key", vigil.CodeUnauthorized, "The quiz page's assertion is signed with a key that its learning platform does not publish."}
	ErrAssertionSignature    = &Fault{"assertion_signature", vigil.CodeUnauthorized, "The signature of the quiz page's assertion is not valid."}
	ErrAssertionIssuer       = &Fault{"assertion_issuer", vigil.CodeUnauthorized, "The quiz page's assertion comes from somebody else."}
	ErrAssertionAudience     = &Fault{"assertion_audience", vigil.CodeUnauthorized, "The quiz page's assertion is meant for somebody else."}
	ErrAssertionTokenUse     = &Fault{"assertion_token_use", vigil.CodeUnauthorized, "This token is not an assertion of a quiz page."}
	ErrAssertionIssuedAt     = &Fault{"assertion_iat", vigil.CodeUnauthorized, "The quiz page's assertion was not made now. The clocks of the two servers may differ."}
	ErrAssertionExpires      = &Fault{"assertion_exp", vigil.CodeUnauthorized, "The quiz page's assertion has expired. Reload the page."}
	ErrAssertionID           = &Fault{"assertion_jti", vigil.CodeUnauthorized, "The quiz page's assertion has no usable id."}
	ErrAssertionSubject      = &Fault{"assertion_sub", vigil.CodeUnauthorized, "The quiz page's assertion names no user."}
	ErrAssertionDeployment   = &Fault{"assertion_deployment", vigil.CodeForbidden, "This placement of Vigil in the learning platform is not accepted here."}
	ErrAssertionResourceLink = &Fault{"assertion_resource_link", vigil.CodeUnauthorized, "The quiz page's assertion names no quiz."}
	ErrAssertionAttempt      = &Fault{"assertion_attempt_number", vigil.CodeUnauthorized, "The quiz page's assertion names no attempt."}
	ErrAssertionEnd          = &Fault{"assertion_attempt_end", vigil.CodeUnauthorized, "The quiz page's assertion has an end that cannot be read."}
	ErrAssertionVersion      = &Fault{"assertion_version", vigil.CodeUnauthorized, "The quiz page's assertion is of a version that is not known here."}
	ErrAssertionToldAt       = &Fault{"assertion_told_at", vigil.CodeUnauthorized, "The quiz page's assertion does not say of when it is. The clocks of the two servers may differ."}
	ErrAssertionPausedAt     = &Fault{"assertion_paused_at", vigil.CodeUnauthorized, "The quiz page's assertion has a pause that cannot be read."}
	ErrAssertionRequests     = &Fault{"assertion_requests", vigil.CodeUnauthorized, "The quiz page's assertion has a list of requests that cannot be read."}
	ErrAssertionReplay       = &Fault{"assertion_replay", vigil.CodeUnauthorized, "The quiz page's assertion was used before. Reload the page."}
)

// assertionUse is what one use of the format has of its own.
type assertionUse struct {
	tokenUse string
	life     time.Duration // exp - iat, at most
	size     int           // of the token in bytes, at most; 0: maxAssertion
	version  int           // the lowest that is taken
	report   bool          // from version 2 on, told_at and requests must be there
	once     bool          // the id is used up
	checks   []func(*judgedAssertion) error
}

// judgedAssertion is what the checks of an assertion look at and fill.
type judgedAssertion struct {
	use    assertionUse
	head   header
	claims object
	now    time.Time
	out    Assertion
	people AccessReport // of a report of groups and rights
}

// assertionChecks are the checks after the signature that came with version 1, in order.
var assertionChecks = []func(*judgedAssertion) error{
	checkAssertionAudience, checkAssertionUse, checkAssertionTimes, checkAssertionID,
	checkAssertionSubject, checkAssertionDeployment, checkAssertionResource, checkAssertionAttempt, checkAssertionEnd,
}

// reportChecks follow them since version 2.
var reportChecks = []func(*judgedAssertion) error{
	checkAssertionVersion, checkAssertionToldAt, checkAssertionPausedAt, checkAssertionRequests,
}

var socketUse = assertionUse{
	tokenUse: tokenUseSocket, life: assertionLife, version: 1, report: true, once: true,
	checks: slices.Concat(assertionChecks, reportChecks),
}

// VerifyAssertion checks an assertion and uses up its id: of many callers with the same
// one, exactly one succeeds. The platform is found by the token's own iss and aud, which
// only picks whose keys must have signed it.
func (t *Tool) VerifyAssertion(ctx context.Context, compact string) (Assertion, error) {
	j, err := t.judgeAssertion(ctx, compact, socketUse)
	if err != nil {
		return Assertion{}, err
	}
	return j.out, nil
}

// judgeAssertion does the checks that all uses of an assertion share, and those of this
// use, and uses up its id where it is for once.
func (t *Tool) judgeAssertion(ctx context.Context, compact string, use assertionUse) (*judgedAssertion, error) {
	if len(compact) > cmp.Or(use.size, maxAssertion) {
		return nil, ErrAssertionForm.because("too long")
	}
	head, payload, err := splitToken(compact)
	if err != nil {
		return nil, ErrAssertionForm.because("%w", err)
	}
	claims, err := parseObject(payload)
	if err != nil {
		return nil, ErrAssertionForm.because("payload: %w", err)
	}
	var store parties = t.cfg.Store
	if use.tokenUse == tokenUsePage { // there are many
		store = t.parties
	}
	p, err := assertionPlatform(ctx, store, claims)
	if err != nil {
		return nil, err
	}
	if head.Alg != algRS256 {
		return nil, ErrAssertionAlgorithm.because("alg")
	}
	if head.Kid == "" {
		return nil, ErrAssertionKey.because("no kid")
	}
	key, err := t.sets.key(ctx, p.KeySetURL, p.Private, head.Kid, p.Updated)
	if err != nil {
		if vigil.CodeOf(err) == vigil.CodeUnavailable {
			return nil, err
		}
		return nil, ErrAssertionKey.because("%w", err)
	}
	if err := verifyToken(compact, algRS256, key.key); err != nil {
		return nil, ErrAssertionSignature.because("not valid under the key")
	}
	j := &judgedAssertion{use: use, head: head, claims: claims, now: t.cfg.Now(), out: Assertion{Platform: p}}
	for _, check := range use.checks {
		if err := check(j); err != nil {
			return nil, err
		}
	}
	d, err := store.Deployment(ctx, p.ID, j.out.Deployment)
	switch {
	case errors.Is(err, vigil.ErrNotFound):
		return nil, ErrAssertionDeployment.because("unknown")
	case err != nil:
		return nil, err
	case d.State != vigil.DeploymentActive:
		return nil, ErrAssertionDeployment.because("%s", d.State)
	}
	if use.once {
		if err := t.useUp(ctx, j); err != nil {
			return nil, err
		}
	}
	return j, nil
}

// useUp remembers an assertion's id for as long as the assertion would pass the checks of
// time.
func (t *Tool) useUp(ctx context.Context, j *judgedAssertion) error {
	err := t.cfg.Store.CreateRecord(ctx, vigil.Record{
		Kind: kindAssertion, Key: j.out.Platform.ID + "/" + digest(j.out.ID), Value: []byte("{}"),
		Expires: j.out.Expires.Add(clockSkew + time.Second),
	}, j.now)
	if errors.Is(err, vigil.ErrExists) {
		return ErrAssertionReplay.because("jti seen")
	}
	return err
}

// assertionPlatform finds the active platform that an assertion claims to be from.
func assertionPlatform(ctx context.Context, store parties, claims object) (vigil.Platform, error) {
	iss, _ := claims.str("iss")
	aud, ok := claims.str("aud")
	if list, isList := claims.strings("aud"); isList && len(list) == 1 {
		aud, ok = list[0], true
	}
	if iss == "" {
		return vigil.Platform{}, ErrAssertionIssuer.because("iss")
	}
	if !ok || aud == "" {
		return vigil.Platform{}, ErrAssertionAudience.because("aud")
	}
	p, err := store.PlatformByClient(ctx, iss, aud)
	if errors.Is(err, vigil.ErrNotFound) {
		return vigil.Platform{}, ErrAssertionPlatform.because("unknown issuer and client id")
	}
	if err != nil {
		return vigil.Platform{}, err
	}
	if p.State != vigil.PlatformActive {
		return vigil.Platform{}, ErrAssertionPlatform.because("%s", p.State)
	}
	return p, nil
}

// checkAssertionAudience refuses a foreign azp; iss and aud are right, for the platform was
// found by them.
func checkAssertionAudience(j *judgedAssertion) error {
	if j.claims.has("azp") {
		if azp, _ := j.claims.str("azp"); azp != j.out.Platform.ClientID {
			return ErrAssertionAudience.because("azp")
		}
	}
	return nil
}

// checkAssertionUse keeps assertions and id_tokens apart: neither may serve as the other.
func checkAssertionUse(j *judgedAssertion) error {
	if use, _ := j.claims.str("token_use"); use != j.use.tokenUse {
		return ErrAssertionTokenUse.because("token_use")
	}
	for _, name := range []string{"nonce", claimMessageType} {
		if _, there := j.claims[name]; there {
			return ErrAssertionTokenUse.because("has %s", name)
		}
	}
	return nil
}

func checkAssertionTimes(j *judgedAssertion) error {
	iat, ok := j.claims.integer("iat")
	if !ok {
		return ErrAssertionIssuedAt.because("not an integer")
	}
	exp, ok := j.claims.integer("exp")
	if !ok {
		return ErrAssertionExpires.because("not an integer")
	}
	now := j.now.Unix()
	skew := int64(clockSkew / time.Second)
	if iat < 0 || iat > now+skew {
		return ErrAssertionIssuedAt.because("%s from now", span(float64(iat-now)))
	}
	if exp <= iat || exp > maxMoment || exp-iat > int64(j.use.life/time.Second) {
		return ErrAssertionExpires.because("lives %s", span(float64(exp-iat)))
	}
	if exp+skew < now {
		return ErrAssertionExpires.because("%s ago", span(float64(now-exp)))
	}
	j.out.Issued, j.out.Expires = time.Unix(iat, 0), time.Unix(exp, 0)
	return nil
}

func checkAssertionID(j *judgedAssertion) error {
	id, _ := j.claims.str("jti")
	if checkWord(id) != nil {
		return ErrAssertionID.because("jti")
	}
	j.out.ID = id
	return nil
}

func checkAssertionSubject(j *judgedAssertion) error {
	sub, _ := j.claims.str("sub")
	if checkWord(sub) != nil {
		return ErrAssertionSubject.because("sub")
	}
	j.out.Subject = sub
	return nil
}

func checkAssertionDeployment(j *judgedAssertion) error {
	id, _ := j.claims.str(claimDeployment)
	if checkWord(id) != nil {
		return ErrAssertionDeployment.because("deployment_id")
	}
	j.out.Deployment = id
	return nil
}

func checkAssertionResource(j *judgedAssertion) error {
	link, _ := j.claims.object(claimResourceLink)
	id, _ := link.str("id")
	if checkWord(id) != nil {
		return ErrAssertionResourceLink.because("id")
	}
	j.out.ResourceLink = id
	return nil
}

func checkAssertionAttempt(j *judgedAssertion) error {
	n, ok := j.claims.integer(claimAttempt)
	if !ok || n < 1 || n > maxAttempt {
		return ErrAssertionAttempt.because("attempt_number")
	}
	j.out.Attempt = int(n)
	return nil
}

func checkAssertionEnd(j *judgedAssertion) error {
	if _, there := j.claims[claimAttemptEnd]; !there {
		return nil
	}
	end, ok := j.claims.integer(claimAttemptEnd)
	if !ok || end < 0 || end > maxMoment {
		return ErrAssertionEnd.because("attempt_end")
	}
	if end > 0 {
		j.out.Report.End = time.Unix(end, 0).UTC()
	}
	return nil
}

// checkAssertionVersion reads the version of the format. A later one than ours only adds
// claims, and is read as ours.
func checkAssertionVersion(j *judgedAssertion) error {
	version := 1
	if _, there := j.claims[claimVigil]; there {
		v, ok := j.claims.integer(claimVigil)
		if !ok || v < 2 {
			return ErrAssertionVersion.because("vigil")
		}
		version = int(min(v, vigil.PluginVersion))
	}
	if version < j.use.version {
		return ErrAssertionVersion.because("version %d", version)
	}
	j.out.Report.Version = version
	return nil
}

// reportLacks tells whether a claim of version 2 is not to be read: it is left out where it
// may be, or means nothing, as in version 1.
func (j *judgedAssertion) reportLacks(name string, needed bool) bool {
	_, there := j.claims[name]
	return j.out.Report.Version < 2 || !there && !needed
}

// checkAssertionToldAt reads when the platform said what it says here: told_at, in version
// 1 iat.
func checkAssertionToldAt(j *judgedAssertion) error {
	j.out.Report.At = j.out.Issued.UTC()
	if j.reportLacks(claimToldAt, j.use.report) {
		return nil
	}
	at, ok := j.millis(claimToldAt)
	if !ok {
		return ErrAssertionToldAt.because("told_at")
	}
	j.out.Report.At = at
	return nil
}

// millis reads a moment in milliseconds: at most the skew of clocks ahead of ours, and no
// longer before iat than making a token takes.
func (j *judgedAssertion) millis(name string) (time.Time, bool) {
	n, ok := j.claims.integer(name)
	if !ok || n > j.now.Add(clockSkew).UnixMilli() || n < j.out.Issued.Add(-maxReportAge).UnixMilli() {
		return time.Time{}, false
	}
	return time.UnixMilli(n).UTC(), true
}

func checkAssertionPausedAt(j *judgedAssertion) error {
	if j.reportLacks(claimPausedAt, false) {
		return nil
	}
	at, ok := j.claims.integer(claimPausedAt)
	if !ok || at < 0 || at > j.now.Add(clockSkew).Unix() {
		return ErrAssertionPausedAt.because("attempt_paused_at")
	}
	if at > 0 {
		j.out.Report.PausedAt = time.Unix(at, 0).UTC()
		cause, _ := j.claims.str(claimPauseCause) // others than this are not known
		j.out.Report.Held = cause == "unwatched"
	}
	return nil
}

func checkAssertionRequests(j *judgedAssertion) error {
	if j.reportLacks(claimRequests, j.use.report) {
		return nil
	}
	ids, ok := j.claims.strings(claimRequests)
	if !ok || len(ids) > maxRequests {
		return ErrAssertionRequests.because("not an array of at most %d strings", maxRequests)
	}
	for _, id := range ids {
		if checkRequestID(id) != nil {
			return ErrAssertionRequests.because("an id")
		}
	}
	if len(ids) > 0 {
		j.out.Report.Requests = ids
	}
	return nil
}

// checkRequestID says whether the id of a request to a platform has 1 to 64 characters and
// no control characters.
func checkRequestID(id string) error {
	if utf8.RuneCountInString(id) > maxRequestID {
		return errors.New("too long")
	}
	return checkWord(id)
}

// digest is how ids of others' choosing and secrets become keys of the store.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
