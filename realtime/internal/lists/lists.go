// Package lists keeps lists short.
package lists

import "slices"

// Newest keeps the newest n of a list whose newest is last.
func Newest[T any](list []T, n int) []T {
	if len(list) > n {
		return slices.Delete(list, 0, len(list)-n)
	}
	return list
}
