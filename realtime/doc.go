// Package realtime has the live state of a node: the rooms of exams, the students and proctors who are
// connected, who is there and who is lost, and signals on their way to the store and to dashboards.
//
// A Hub makes students and proctors of sockets (package socket), has the use cases of package session
// change what is stored and tells what they changed, on other nodes by a relay (package relay), and
// judges what a node left that is gone (package cluster).
//
// Mutexes, in the order in which they nest: room.order, Hub.mu, student.mu, room.mu and proctor.state;
// then those of other packages (sockets, queues of jobs, the relay). All others are taken with nothing
// locked within but the group of tasks. None is held while the store, the relay's Subscribe, a socket or a
// platform is waited for.
package realtime
