package web

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"vigil"
	"vigil/lti"
)

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// maxTitle bounds names and titles as platforms send them, in bytes.
const maxTitle = 200

// tidy makes one short line of a name or a title that a platform sent: people wrote it, so
// it may hold anything. Control characters, and those that turn the direction of the text
// around them, are dropped.
func tidy(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069, r == utf8.RuneError:
			return -1
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= maxTitle {
		return text
	}
	cut := maxTitle - len("…")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return strings.TrimSpace(text[:cut]) + "…"
}

// nameOf is what a launch calls its user; empty where the platform shares no names.
func nameOf(l lti.Launch) string {
	return tidy(firstOf(l.Name, strings.TrimSpace(l.GivenName+" "+l.FamilyName)))
}

func samePolicy(a, b vigil.Policy) bool {
	watch := slices.Equal(a.Watch, b.Watch)
	a.Watch, b.Watch = nil, nil
	return watch && a.Admission == b.Admission && a.Pause == b.Pause && a.Fullscreen == b.Fullscreen &&
		a.Attention == b.Attention && a.LinkLoss == b.LinkLoss && a.LostTimeCap == b.LostTimeCap &&
		a.DurationMinutes == b.DurationMinutes && a.EndMessage == b.EndMessage && a.Retention == b.Retention
}

// sameLaunch compares what a launch says about a session.
func sameLaunch(a, b vigil.Session) bool {
	return a.Name == b.Name && a.PlatformID == b.PlatformID && a.DeploymentID == b.DeploymentID &&
		a.ResourceLinkID == b.ResourceLinkID && a.Plugin == b.Plugin && a.Locale == b.Locale && a.ReturnURL == b.ReturnURL &&
		a.ControlURL == b.ControlURL && slices.Equal(a.ControlActions, b.ControlActions)
}
