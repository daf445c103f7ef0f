package vigil

import "time"

// SocketClaims is what a socket token says: who may connect, and to what. Exactly one of Session and
// Exam is set. What they may do is checked against the session and the exam on every message.
type SocketClaims struct {
	Subject string // platform id | user id
	Session string // a student's session
	Exam    string // a proctor's exam
	Role    Role
	Name    string    // a proctor's name, as others see it; may be empty
	ID      string    // of the token; another one for each token; made when empty
	Issued  time.Time // now when zero
	Expires time.Time // as long as a token lives after Issued when zero, and never later than Until
	Until   time.Time // no renewal reaches past it; zero: no such end
	// Access is the version of the proctor's access record when the token was made; 0: the
	// platform told of none. The record itself is the store's.
	Access int64
	// Guest: a student's token was made for a page of ours, by the visit's cookie, while the
	// learning platform's quiz page is what reports of the attempt. "": it was not.
	Guest Guest
}

// Actor is who the claims speak of.
func (c SocketClaims) Actor() Actor { return Actor{Role: c.Role, ID: c.Subject, Name: c.Name} }
