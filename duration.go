package vigil

import (
	"strings"
	"time"
)

// Span writes a duration for the log and for operators: to the second from a minute on, to
// the millisecond below, and a shorter one to the microsecond.
func Span(d time.Duration) string {
	switch size := d.Abs(); {
	case size >= time.Minute:
		d = d.Round(time.Second)
	case size >= time.Millisecond:
		d = d.Round(time.Millisecond)
	default:
		d = d.Round(time.Microsecond)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
