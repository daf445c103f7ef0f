// Package session has the use cases of a node, each of which changes a session: what a command, a report
// of the learning platform, the end of an absence or a time that runs out does.
//
// Each goes one way: a rule of the root package says what becomes of the session, one conditional write
// stores it, and then the Notifier tells everyone. Whatever may be told again after a fault is told again:
// who is told takes it for what it is. What the node knows better than the store, and whose fault an
// absence is, the use cases ask of View and Faults.
//
// No mutex is held here while anybody is asked. What must be one at a time over a call of the store is a
// channel (commandLocks).
package session
