package realtime

import (
	"slices"
	"time"
)

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// before tells how many of a list in order are before t.
func before(list []int64, t int64) int {
	n, _ := slices.BinarySearch(list, t)
	return n
}

// whole is a time as it is kept: in UTC and whole milliseconds.
func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
