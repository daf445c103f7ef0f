package vigil_test

import (
	"fmt"
	"time"

	"vigil"
)

// A session changes by pure rules: whoever calls them brings the time, and stores what comes
// of it. Here a proctor pauses a student for a quarter of an hour.
func Example() {
	nine := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return nine.Add(time.Duration(minutes) * time.Minute) }
	proctor := vigil.Actor{Role: vigil.RoleProctor, ID: "lms|7", Name: "Pat"}
	policy := vigil.DefaultPolicy()

	session := vigil.Session{State: vigil.StateActive, Version: 1, Started: at(0), End: at(60)}
	paused, err := session.Apply(vigil.Change{Event: vigil.EventPause, At: at(10), By: proctor, Reason: "fire drill"})
	if err != nil {
		fmt.Println(err)
		return
	}
	left, _ := paused.Left(policy, at(24))
	fmt.Println(paused.State, "with", left, "left: the clock stands")

	resumed, err := paused.Apply(vigil.Change{Event: vigil.EventResume, At: at(25), By: proctor})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resumed.State, "until", resumed.Deadline(policy).Format("15:04"))

	_, err = resumed.Apply(vigil.Change{Event: vigil.EventResume, At: at(26), By: proctor})
	fmt.Println(vigil.CodeOf(err), "to resume again")

	// Output:
	// paused with 50m0s left: the clock stands
	// active until 10:15
	// illegal_state to resume again
}
