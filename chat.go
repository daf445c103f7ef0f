package vigil

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Role says on which side of an exam someone stands.
type Role string

// The roles.
const (
	RoleStudent  Role = "student"
	RoleProctor  Role = "proctor"
	RoleSystem   Role = "system"   // Vigil itself, by a rule
	RoleLMS      Role = "lms"      // the platform reported it
	RoleOperator Role = "operator" // of the server, by a command
)

// Actor is who did something.
type Actor struct {
	Role Role   `json:"role"`
	ID   string `json:"id,omitempty"` // platform|user for people
	Name string `json:"name,omitempty"`
}

// IsUser tells whether the actor is a user, by the platform's id of the user.
func (a Actor) IsUser(userID string) bool {
	_, id, ok := strings.Cut(a.ID, "|")
	return ok && id == userID
}

// ChatLine is one message between a student and the exam's proctors. The sender
// chooses its id, so that sending it again after a drop changes nothing.
type ChatLine struct {
	ID        string
	SessionID string
	ExamID    string
	From      Actor
	Text      string
	Urgent    bool // from a student whose exam is paused
	At        time.Time
}

// MaxChat is the longest chat message, in bytes.
const MaxChat = 2000

// CleanText checks and trims what a person typed: valid UTF-8, something to see, at most limit
// bytes, no control characters but newlines and tabs. What spoils other people's view is left
// out (harmless). It returns CodeInvalid.
func CleanText(field, text string, limit int) (string, error) {
	text = strings.TrimSpace(text)
	if utf8.ValidString(text) {
		text = strings.TrimSpace(harmless(text))
	}
	switch {
	case text == "" || utf8.ValidString(text) && !visible(text) && !strings.ContainsFunc(text, unicode.IsControl):
		return "", Invalid(field, "The text is empty.")
	case len(text) > limit:
		return "", Invalid(field, "The text is longer than %d bytes.", limit)
	case !utf8.ValidString(text):
		return "", Invalid(field, "The text is not valid UTF-8.")
	}
	for _, r := range text {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return "", Invalid(field, "The text holds control characters.")
		}
	}
	return text, nil
}

// ValidID tells whether an id chosen by a client (of a command or a chat line) is well
// formed: 8 to 64 letters, digits, - or _.
func ValidID(id string) bool {
	return len(id) >= 8 && len(id) <= 64 && ValidStream(id+"0000000000000000"[:max(0, 16-len(id))])
}
