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

func TestOnlyWhatMayPassIsTriedAgain(t *testing.T) {
	for err, want := range map[error]bool{
		io.EOF: true, Errorf(CodeUnavailable, "x"): true, Errorf(CodeTooMany, "x"): true,
		Errorf(CodeConflict, "x"): false, Errorf(CodeForbidden, "x"): false,
	} {
		if got := Transient(err); got != want {
			t.Errorf("%v: got %t, want %t", err, got, want)
		}
	}
	if Transient(nil) {
		t.Error("no error is tried again")
	}
	if got := MessageOf(fmt.Errorf("x: %w", Errorf(CodeInvalid, "No."))); got != "No." {
		t.Errorf("message: got %q", got)
	}
}
