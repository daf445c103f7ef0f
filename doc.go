// Package vigil says what an exam, a session, a signal, a command and a gap are, and
// what rules they follow. It is pure: no I/O, no clock, no goroutines; whoever calls
// it brings the time.
package vigil
