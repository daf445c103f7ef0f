package lti

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"vigil"
)

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
	if !ok || checkWord(sub) != nil {
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
	if checkWord(id) != nil {
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
	if id != "" && checkWord(id) != nil {
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

// checkDeployment accepts an active deployment and nothing else; see deployment.go for
// what becomes of one that is not known.
func checkDeployment(ctx context.Context, j *judged) error {
	id, ok := j.claims.str(claimDeployment)
	if !ok || checkWord(id) != nil {
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
