package session

import (
	"time"

	"vigil"
)

// Observer is told of what a node sees happen, for its metrics. All methods are called by many at once,
// some under a lock: none may wait.
type Observer interface {
	// GapBegan: somebody counts as lost, for the cause that is known then.
	GapBegan(cause vigil.Cause)
	// GapEnded: a gap ended, or a part of it that had a cause of its own.
	GapEnded(cause vigil.Cause, lasted time.Duration)
	// UnwatchedBegan: it was noted that nobody watches an attempt; room: nor many others of its exam.
	UnwatchedBegan(room bool)
	// UnwatchedEnded: an attempt of which that was noted is watched, or over.
	UnwatchedEnded()
	// Delivered: a request to a platform was tried. An answer that waits is tried again.
	Delivered(answer vigil.LMSState, took time.Duration)
}

// Unobserved is an Observer that nobody looks at.
type Unobserved struct{}

// GapBegan implements Observer.
func (Unobserved) GapBegan(vigil.Cause) {}

// GapEnded implements Observer.
func (Unobserved) GapEnded(vigil.Cause, time.Duration) {}

// UnwatchedBegan implements Observer.
func (Unobserved) UnwatchedBegan(bool) {}

// UnwatchedEnded implements Observer.
func (Unobserved) UnwatchedEnded() {}

// Delivered implements Observer.
func (Unobserved) Delivered(vigil.LMSState, time.Duration) {}
