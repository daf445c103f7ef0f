package web

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"net/mail"
	"strings"

	"vigil"
)

// Privacy is what the school says of itself where its students' data is spoken of. Both may
// be empty; the pages say then to ask the school. Whoever makes the Config checks them.
type Privacy struct {
	PolicyURL string // the school's own privacy notice
	Contact   string // who answers for the data: a text, an e-mail address or a mailto: URL
}

// Given tells whether there is anything to show.
func (p Privacy) Given() bool { return p.PolicyURL != "" || p.Contact != "" }

// ContactText is the contact as people read it.
func (p Privacy) ContactText() string {
	if mailto, ok := strings.CutPrefix(p.Contact, "mailto:"); ok {
		address, _, _ := strings.Cut(mailto, "?")
		return address
	}
	return p.Contact
}

// ContactURL is where a click on the contact leads; empty: nowhere.
func (p Privacy) ContactURL() template.URL {
	if strings.HasPrefix(p.Contact, "mailto:") {
		return template.URL(p.Contact) // #nosec G203 -- the operator's setting, and a mailto: URL
	}
	if a, err := mail.ParseAddress(p.Contact); err == nil && a.Address == p.Contact {
		return template.URL("mailto:" + p.Contact) // #nosec G203 -- an e-mail address
	}
	return ""
}

// noticeWords is the version of what the notice's words say (the keys notice.* and watch.*
// in all languages): raise it when they say something else, so that students are asked
// again. A test holds it to the words.
const noticeWords = 2

// notice is what the student reads and agrees to at the check-in: exactly what is watched
// and kept under this policy. docs/privacy.md is the same in full.
type notice struct {
	Watch     []string        `json:"watch"` // the words' keys are watch.*
	Retention vigil.Retention `json:"retention"`
	Control   bool            `json:"control"` // the platform is told what proctors do
	Plugin    bool            `json:"plugin"`  // the platform is our plugin, which hands out copies and erases
	Privacy   Privacy         `json:"privacy"`
}

// noticeOf is the notice of an attempt as it is now.
func (s *Server) noticeOf(session vigil.Session, policy vigil.Policy) notice {
	n := notice{
		Watch: []string{"connection", "elsewhere"}, Retention: policy.Retention, Plugin: session.Plugin,
		Control: session.ControlURL != "" && len(session.ControlActions) > 0, Privacy: s.privacy,
	}
	if session.Plugin { // else nothing of ours is in the quiz page, and the window beside it reports its connection only
		for _, w := range vigil.AllWatches {
			if policy.Watches(w) {
				n.Watch = append(n.Watch, string(w))
			}
		}
	}
	n.Watch = append(n.Watch, "people")
	return n
}

// Version names what the notice says: it is another one when the words, the policy or the
// school's settings are.
func (n notice) Version() string {
	b, err := json.Marshal(struct {
		Words int `json:"words"`
		notice
	}{noticeWords, n})
	if err != nil { // texts, numbers and booleans always have a JSON form
		panic(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// Days is the longest time that anything is kept.
func (n notice) Days() int {
	return max(n.Retention.Signals, n.Retention.Chat, n.Retention.Sessions, n.Retention.Audit)
}

// kept is a line of the notice: what is kept (notice.kept.*), and for how many days.
type kept struct {
	What string
	Days int
}

// Kept lists what is kept for how long.
func (n notice) Kept() []kept {
	return []kept{
		{"signals", n.Retention.Signals}, {"chat", n.Retention.Chat}, {"sessions", n.Retention.Sessions}, {"audit", n.Retention.Audit},
	}
}

// summary says in an audit entry what was agreed to.
func (n notice) summary(lang string) string {
	return fmt.Sprintf("notice %s (words %d, %s): watched %s; kept for days: signals %d, chat %d, attempt %d, audit %d",
		n.Version(), noticeWords, lang, strings.Join(n.Watch, " "), n.Retention.Signals, n.Retention.Chat, n.Retention.Sessions, n.Retention.Audit)
}
