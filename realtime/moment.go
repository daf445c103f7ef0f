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
func before(list []time.Time, t time.Time) int {
	n, _ := slices.BinarySearchFunc(list, t, time.Time.Compare)
	return n
}
