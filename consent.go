package vigil

import (
	"slices"
	"time"
)

// Consent is a student's agreement to the notice of the check-in, as it was then.
type Consent struct {
	Notice string    `json:"notice"` // version of what was agreed to
	At     time.Time `json:"at"`
}

// MaxConsents bounds the consents that a session remembers; the audit trail has each.
const MaxConsents = 16

// AgreedTo tells whether the latest consent is to this version of the notice. A session of
// before versions were kept agreed to none that is known.
func (s Session) AgreedTo(notice string) bool {
	n := len(s.Consents)
	return n > 0 && s.Consents[n-1].Notice == notice
}

// Agree adds a consent, which makes a session that was only created ready, and changes
// nothing else of one that has come further. One that has ended is CodeIllegal.
func (s Session) Agree(c Consent, by Actor) (Session, error) {
	next := s
	switch {
	case s.State.Ended():
		return s, Errorf(CodeIllegal, "A session that is %s takes no consent.", s.State)
	case s.State == StateCreated:
		var err error
		if next, err = s.Apply(Change{Event: EventConsent, At: c.At, By: by}); err != nil {
			return s, err
		}
	default:
		next.Version++
		if next.Ready.IsZero() { // the platform opened the attempt before
			next.Ready = c.At
		}
	}
	next.Consents = append(slices.Clone(s.Consents[max(0, len(s.Consents)-MaxConsents+1):]), c)
	return next, nil
}
