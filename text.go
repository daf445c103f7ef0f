package vigil

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMarks bounds how many combining marks one letter keeps: more than any language writes.
// Hundreds of them on one letter cover the lines above and below it.
const maxMarks = 5

// harmless drops from a text that one person wrote what spoils other people's view of a page:
// characters that turn the direction of what stands around them, and more than maxMarks marks on
// one letter.
func harmless(text string) string {
	marks := 0
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
			return -1
		case unicode.In(r, unicode.Mn, unicode.Me):
			if marks++; marks > maxMarks {
				return -1
			}
		default:
			marks = 0
		}
		return r
	}, text)
}

// visible tells whether a text shows anything: spaces, characters without a width and marks
// that stand on nothing do not.
func visible(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsSpace(r) && !unicode.In(r, unicode.C, unicode.M) && !blank(r)
	})
}

// blank tells whether a letter or symbol by Unicode's classes has no glyph.
func blank(r rune) bool {
	switch r {
	case 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0:
		return true
	}
	return false
}

// CleanName makes one short line of a name or a title that a platform sent: people wrote it, so
// it may hold anything. Control characters and what harmless drops are left out, spaces become
// single ones, and what is longer than limit bytes ends in an ellipsis. What shows nothing is
// empty, so that it can be replaced.
func CleanName(text string, limit int) string {
	text = harmless(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), r == utf8.RuneError:
			return -1
		}
		return r
	}, text))
	text = strings.Join(strings.Fields(text), " ")
	if !visible(text) {
		return ""
	}
	if len(text) <= limit {
		return text
	}
	cut := limit - len("…")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return strings.TrimSpace(text[:cut]) + "…"
}
