// Package realtime holds the sockets of students and proctors: it upgrades them, judges
// whether their people are there, stores and acknowledges what browsers noticed, and
// carries commands and chat both ways.
package realtime
