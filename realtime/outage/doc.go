// Package outage knows what kept students away that was not their own doing: that this node could not
// store or admit anybody (History), that a platform was slow for several students at once (PageTurns),
// and that a server refused a student's connection (Refusals).
//
// It has state and rules, and asks nobody; what it says is used to divide the time that an attempt lost.
package outage
