package vigil

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestAConsentChangesTheStateOfANewSessionOnly(t *testing.T) {
	student := Actor{Role: RoleStudent, ID: "p|u"}
	proctor := Actor{Role: RoleProctor, ID: "p|t"}
	for _, state := range States {
		s := Session{State: state, Version: 4, Changed: t0, By: proctor, Reason: "a phone"}
		if state == StatePaused {
			s.PausedAt = t0
		}
		c := Consent{Notice: "n1", At: t0.Add(time.Minute)}
		got, err := s.Agree(c, student)
		if state.Ended() {
			if !errors.Is(err, ErrIllegal) || got.Version != s.Version || got.Consents != nil {
				t.Errorf("%s: got %+v and %v, want it refused", state, got, err)
			}
			continue
		}
		if err != nil || got.Version != 5 || !slices.Equal(got.Consents, []Consent{c}) || !got.AgreedTo("n1") || s.AgreedTo("n1") {
			t.Errorf("%s: got %+v and %v, want the consent", state, got, err)
		}
		if state == StateCreated {
			if got.State != StateReady || !got.Ready.Equal(c.At) || got.By != student {
				t.Errorf("%s: got %+v, want it ready", state, got)
			}
			continue
		}
		if got.State != state || got.By != proctor || got.Reason != "a phone" || !got.Changed.Equal(t0) || !got.PausedAt.Equal(s.PausedAt) || got.PausedTotal != 0 {
			t.Errorf("%s: got %+v, want nothing changed but the consent", state, got)
		}
	}
}

func TestTheLatestConsentCounts(t *testing.T) {
	s := Session{State: StateReady}
	for i := range 2 * MaxConsents {
		s, _ = s.Agree(Consent{Notice: fmt.Sprint(i), At: t0.Add(time.Duration(i))}, Actor{})
	}
	last := fmt.Sprint(2*MaxConsents - 1)
	if len(s.Consents) != MaxConsents || !s.AgreedTo(last) || s.AgreedTo(fmt.Sprint(2*MaxConsents-2)) {
		t.Errorf("got %v, want the last %d, and an agreement to %s only", s.Consents, MaxConsents, last)
	}
}
