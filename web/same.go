package web

import (
	"cmp"
	"slices"

	"vigil"
	"vigil/lti"
)

// maxTitle bounds names and titles as platforms send them, in bytes.
const maxTitle = 200

// tidy is vigil.CleanName for names and titles.
func tidy(text string) string { return vigil.CleanName(text, maxTitle) }

// nameOf is what a launch calls its user; empty where the platform shares no names.
func nameOf(l lti.Launch) string {
	return cmp.Or(tidy(l.Name), tidy(l.GivenName+" "+l.FamilyName))
}

func samePolicy(a, b vigil.Policy) bool {
	watch := slices.Equal(a.Watch, b.Watch)
	a.Watch, b.Watch = nil, nil
	return watch && a.Admission == b.Admission && a.Pause == b.Pause && a.Fullscreen == b.Fullscreen &&
		a.Attention == b.Attention && a.LinkLoss == b.LinkLoss && a.LostTimeCap == b.LostTimeCap && a.Unwatched == b.Unwatched &&
		a.DurationMinutes == b.DurationMinutes && a.EndMessage == b.EndMessage && a.Retention == b.Retention
}

// sameLaunch compares what a launch says about a session.
func sameLaunch(a, b vigil.Session) bool {
	return a.Name == b.Name && a.PlatformID == b.PlatformID && a.DeploymentID == b.DeploymentID &&
		a.ResourceLinkID == b.ResourceLinkID && a.Plugin == b.Plugin && a.Locale == b.Locale && a.ReturnURL == b.ReturnURL &&
		a.ControlURL == b.ControlURL && slices.Equal(a.ControlActions, b.ControlActions)
}
