package lti

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a login's and a launch's form.
const (
	maxFormBytes  = 256 << 10
	maxParameters = 64
	maxHint       = 8 << 10
)

var (
	errFormMedia  = errors.New("not application/x-www-form-urlencoded")
	errFormSize   = errors.New("form too long")
	errFormSyntax = errors.New("form is not well encoded")
	errFormTwice  = errors.New("a parameter appears twice")
	errFormText   = errors.New("a parameter has control characters or is not UTF-8")
)

// readForm reads the body of a POST as a form.
func readForm(w http.ResponseWriter, r *http.Request) (string, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return "", errFormMedia
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFormBytes))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return "", errFormSize
		}
		return "", err
	}
	return string(body), nil
}

// parseParams reads parameters of which each may appear at most once over all parts
// (query and body), without control characters.
func parseParams(parts ...string) (map[string]string, error) {
	out := map[string]string{}
	for _, part := range parts {
		if len(part) > maxFormBytes {
			return nil, errFormSize
		}
		values, err := url.ParseQuery(part)
		if err != nil {
			return nil, errFormSyntax
		}
		for name, list := range values {
			if _, dup := out[name]; dup || len(list) != 1 {
				return nil, errFormTwice
			}
			if !plainText(name) || !plainText(list[0]) {
				return nil, errFormText
			}
			out[name] = list[0]
		}
		if len(out) > maxParameters {
			return nil, errFormSize
		}
	}
	return out, nil
}

// plainText tells whether a string is UTF-8 without control characters.
func plainText(s string) bool { return utf8.ValidString(s) && !hasControl(s) }

// hasControl tells whether a string holds C0 or C1 control characters or DEL.
func hasControl(s string) bool {
	for _, c := range s {
		if c < ' ' || c >= 0x7f && c <= 0x9f {
			return true
		}
	}
	return false
}

// checkWord says whether an identifier has 1 to 255 characters and no control characters.
func checkWord(s string) error {
	switch {
	case strings.IndexFunc(s, func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }) < 0:
		return errors.New("empty, or nothing that can be seen")
	case utf8.RuneCountInString(s) > maxSubject:
		return errors.New("too long")
	case !plainText(s):
		return errors.New("control characters")
	}
	return nil
}
