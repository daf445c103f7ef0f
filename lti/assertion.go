package lti

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"vigil"
)

// Times and bounds of assertions.
const (
	assertionLife   = 60 * time.Second // exp - iat, at most
	maxAssertion    = 16 << 10
	kindAssertion   = "lti.assertion" // Record kind: ids of assertions that were used
	maxAttemptEnd   = 1 << 40         // seconds; far beyond any exam
	claimAttemptEnd = "attempt_end"
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
	AttemptEnd   time.Time // when the attempt ends, every grant included; zero: no end
	ID           string    // jti
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
	ErrAssertionReplay       = &Fault{"assertion_replay", vigil.CodeUnauthorized, "The quiz page's assertion was used before. Reload the page."}
)

// judgedAssertion is what the checks of an assertion look at and fill.
type judgedAssertion struct {
	use    string // the token_use that it must have
	head   header
	claims object
	now    time.Time
	out    Assertion
}

// assertionChecks are the checks after the signature, in order.
var assertionChecks = []func(*judgedAssertion) error{
	checkAssertionAudience, checkAssertionUse, checkAssertionTimes, checkAssertionID,
	checkAssertionSubject, checkAssertionDeployment, checkAssertionResource, checkAssertionAttempt, checkAssertionEnd,
}

// VerifyAssertion checks an assertion and uses up its id: of many callers with the same
// one, exactly one succeeds. The platform is found by the token's own iss and aud, which
// only picks whose keys must have signed it.
func (t *Tool) VerifyAssertion(ctx context.Context, compact string) (Assertion, error) {
	j, err := t.judgeAssertion(ctx, compact, tokenUseSocket, assertionChecks)
	if err != nil {
		return Assertion{}, err
	}
	return j.out, nil
}

// judgeAssertion does the checks that all uses of an assertion share, and those given, and
// uses up its id.
func (t *Tool) judgeAssertion(
	ctx context.Context, compact, use string, checks []func(*judgedAssertion) error,
) (*judgedAssertion, error) {
	if len(compact) > maxAssertion {
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
	p, err := t.assertionPlatform(ctx, claims)
	if err != nil {
		return nil, err
	}
	if head.Alg != algRS256 {
		return nil, ErrAssertionAlgorithm.because("alg")
	}
	if head.Kid == "" {
		return nil, ErrAssertionKey.because("no kid")
	}
	key, err := t.sets.key(ctx, p.KeySetURL, p.Private, head.Kid)
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
	for _, check := range checks {
		if err := check(j); err != nil {
			return nil, err
		}
	}
	d, err := t.cfg.Store.Deployment(ctx, p.ID, j.out.Deployment)
	switch {
	case errors.Is(err, vigil.ErrNotFound):
		return nil, ErrAssertionDeployment.because("unknown")
	case err != nil:
		return nil, err
	case d.State != vigil.DeploymentActive:
		return nil, ErrAssertionDeployment.because("%s", d.State)
	}
	// The id is remembered for as long as the assertion would pass the checks of time.
	err = t.cfg.Store.CreateRecord(ctx, vigil.Record{
		Kind: kindAssertion, Key: p.ID + "/" + digest(j.out.ID), Value: []byte("{}"), Expires: j.out.Expires.Add(clockSkew + time.Second),
	}, j.now)
	switch {
	case errors.Is(err, vigil.ErrExists):
		return nil, ErrAssertionReplay.because("jti seen")
	case err != nil:
		return nil, err
	}
	return j, nil
}

// assertionPlatform finds the active platform that an assertion claims to be from.
func (t *Tool) assertionPlatform(ctx context.Context, claims object) (vigil.Platform, error) {
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
	p, err := t.cfg.Store.PlatformByClient(ctx, iss, aud)
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
	if use, _ := j.claims.str("token_use"); use != j.use {
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
	if iat > now+skew {
		return ErrAssertionIssuedAt.because("%d s ahead", iat-now)
	}
	if exp <= iat || exp-iat > int64(assertionLife/time.Second) {
		return ErrAssertionExpires.because("lives %d s", exp-iat)
	}
	if exp+skew < now {
		return ErrAssertionExpires.because("%d s ago", now-exp)
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
	if !ok || end < 0 || end > maxAttemptEnd {
		return ErrAssertionEnd.because("attempt_end")
	}
	if end > 0 {
		j.out.AttemptEnd = time.Unix(end, 0)
	}
	return nil
}

// digest is how ids of others' choosing and secrets become keys of the store.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
