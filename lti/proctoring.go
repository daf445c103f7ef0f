package lti

import (
	"context"
	"slices"
)

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
	if !ok || len(data) > maxSettings {
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
