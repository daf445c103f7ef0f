package lms

import (
	"hash/fnv"
	"html/template"
	"strings"
	"time"

	"vigil/lti/ltitest"
)

// functions are those of the pages.
var functions = template.FuncMap{
	"add":  func(a, b int) int { return a + b },
	"iso":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"hhmm": func(t time.Time) string { return t.UTC().Format("15:04 UTC") },
	"initials": func(u ltitest.User) string {
		return strings.ToUpper(firstRune(u.Given) + firstRune(u.Family))
	},
	// tint is a person's own colour, one of eight.
	"tint": func(u ltitest.User) uint32 {
		h := fnv.New32a()
		h.Write([]byte(u.Name()))
		return h.Sum32() % 8
	},
	"role": func(u ltitest.User) string {
		if u.Role == ltitest.Instructor {
			return "Instructor"
		}
		return "Student"
	},
	"status": func(s ltitest.Status) string {
		switch s {
		case ltitest.Running:
			return "In progress"
		case ltitest.Paused:
			return "Paused"
		case ltitest.Terminated:
			return "Ended by a proctor"
		case ltitest.Complete:
			return "Finished"
		}
		return "Not started"
	},
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}
