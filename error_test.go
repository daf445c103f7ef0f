package vigil

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestErrorsAreToldByTheirCode(t *testing.T) {
	cause := io.ErrUnexpectedEOF
	err := fmt.Errorf("reading: %w", Wrap(cause, CodeNotFound, "There is no exam %q.", "x"))
	if !errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) || !errors.Is(err, cause) {
		t.Errorf("got %v, want not_found and its cause, nothing else", err)
	}
	if errors.Is(err, Errorf(CodeNotFound, "another")) {
		t.Error("an error with a message of its own passed for a sentinel")
	}
	for _, tt := range []struct {
		err  error
		want Code
	}{
		{nil, ""},
		{cause, CodeInternal},
		{err, CodeNotFound},
		{Invalid("f", "no"), CodeInvalid},
		{Wrap(err, CodeUnavailable, "later"), CodeUnavailable},
	} {
		if got := CodeOf(tt.err); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.err, got, tt.want)
		}
	}
	if got := Wrap(nil, CodeInternal, "x"); got != nil {
		t.Errorf("wrapping nothing: got %v, want nil", got)
	}
	if got, want := (&Error{Code: CodeInvalid, Field: "f", Message: "No.", Err: io.EOF}).Error(), "invalid (f): No.: EOF"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
