//go:build race

package realtime

import "testing"

func TestAStudentIsNotLookedUpWhileAnotherIsLocked(t *testing.T) {
	h, st := &Hub{}, &student{}
	st.mu.Lock()
	defer st.mu.Unlock()
	defer func() {
		if got, want := recover(), "lockorder: Hub is taken while Student is held"; got != want {
			t.Errorf("got %v, want %q", got, want)
		}
	}()
	h.student("another")
}
