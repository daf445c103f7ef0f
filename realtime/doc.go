// Package realtime has the live state of a node: the rooms of exams, the students who are connected, who is
// there and who is lost, and signals on their way to the store and to dashboards.
//
// A Hub makes students of sockets (package socket) and dashboards of proctors' (package dashboard), has the
// use cases of package session change what is stored and tells what they changed, on other nodes by a relay
// (package relay), and judges what a node left that is gone (package cluster).
//
// What everything here shares is a node. A room is an exam, a student a session, a studentConn one of its
// sockets: these know the node and each other, and the Hub knows which there are. All else is built on them
// and is used by files above, or called through an interface: by sockets (peer.go, studentframe.go), by the
// writer of signals (stored.go), by dashboards, use cases and cluster (notify.go, faults.go, takeover.go),
// and by the relay (receive.go).
//
// Mutexes have ranks (internal/lockorder), which say in what order they nest; a test with the race detector
// panics where one is taken in another. None is held while the store, the relay's Subscribe, a socket or a
// platform is waited for.
package realtime
