// Package sim plays whole exams in one process, from a seed: several servers with the real
// hub, the real rules and the real SQLite store, a learning platform that does what
// Moodle with our plugin does (lti/ltitest), students' browsers, proctors, and everything that can
// go wrong between them. It runs in a bubble of testing/synctest, whose time is not ours: an exam
// of a quarter of an hour takes a second or so.
//
// Everything that crosses a boundary between two of them passes one bus: a call of the store, a
// message of the relay, bytes of a socket, a request to the platform, a page. The bus lets one
// thing through at a time, when everything is quiet, in an order that the seed decides: how long
// each takes, and whether it gets there, depends on the seed and on what it is. Timers never fire at
// the same moment, there is one processor, and the order of maps is nowhere relied on. So a seed is
// one run (TestASeedIsOneRun), whose history can be looked at (-history) and cut down to what it
// needs to fail (-shrink). What was found so is kept in testdata (TestKnownRuns).
//
// When the world has come to rest, what must be true then is checked (check.go): each rule
// has a name, and is seen to fail when what upholds it is switched off (TestEachRuleCanFail).
package sim
