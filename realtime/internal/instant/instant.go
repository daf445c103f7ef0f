// Package instant compares times, and brings them to the form in which they are kept.
package instant

import "time"

// Earlier is the earlier of two times.
func Earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Later is the later of two times.
func Later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Whole is a time as it is kept: in UTC and whole milliseconds.
func Whole(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
