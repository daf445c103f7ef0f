// Package dashboard has the proctors' side of a node: for each exam a Board of those who watch it, what each
// of them may see and do, their snapshots, and the deltas that follow these.
//
// Who changes something of a student makes a Delta and gives it to the Board, which gives it to those who see
// the student, and to the other nodes. What the Board needs to know of students it asks of Live.
//
// What belongs to a student goes to those proctors only who see one of the student's groups. A proctor's
// access record is the store's, and is read again every few seconds while the platform tells of it.
package dashboard
