package ltitest

import (
	"html"
	"net/http"
	"net/url"
	"strings"
)

// Form is a form of a page with the values that it would send untouched: checked boxes
// and chosen options, and no button's.
type Form struct {
	ID     string
	Name   string
	Method string // GET or POST
	Action string // absolute
	Fields url.Values
	Auto   bool // it posts itself

	page *url.URL // where it stands
}

// Form finds a form of the page by its id, its name or the path that it is sent to.
func (p *Page) Form(name string) (Form, bool) {
	for _, f := range p.Forms {
		u, err := url.Parse(f.Action)
		if f.ID == name || f.Name == name || err == nil && u.Path == name {
			return f, true
		}
	}
	return Form{}, false
}

// Element is the text within the first element with an id: a script's JSON, say. It
// ends at the element's first closing tag of the same name.
func (p *Page) Element(id string) (string, bool) {
	found, out := false, ""
	scan(p.Body, func(t tag) bool {
		if t.attrs["id"] != id || t.closing {
			return true
		}
		rest := p.Body[t.end:]
		if i := indexFold(rest, "</"+t.name); i >= 0 {
			rest = rest[:i]
		}
		found, out = true, rest
		return false
	})
	return out, found
}

// indexFold is strings.Index without regard to ASCII case; sub is lower case.
func indexFold(s, sub string) int {
	for i := 0; i+len(sub) <= len(s); i++ {
		j := 0
		for j < len(sub) && lower(s[i+j]) == sub[j] {
			j++
		}
		if j == len(sub) {
			return i
		}
	}
	return -1
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// tag is one tag of a page.
type tag struct {
	name    string
	closing bool
	attrs   map[string]string
	end     int // index after it
}

// scan calls f for each tag until it says false. It knows enough HTML for pages that
// programs write: comments, quoted attributes, scripts and styles as text.
func scan(s string, f func(tag) bool) {
	for i := 0; i < len(s); {
		lt := strings.IndexByte(s[i:], '<')
		if lt < 0 {
			return
		}
		i += lt + 1
		if strings.HasPrefix(s[i:], "!--") {
			end := strings.Index(s[i:], "-->")
			if end < 0 {
				return
			}
			i += end + 3
			continue
		}
		t, next := readTag(s, i)
		i = next
		if t.name == "" {
			continue
		}
		t.end = i
		if !f(t) {
			return
		}
		if !t.closing && (t.name == "script" || t.name == "style") {
			end := indexFold(s[i:], "</"+t.name)
			if end < 0 {
				return
			}
			i += end
		}
	}
}

func readTag(s string, i int) (tag, int) {
	t := tag{attrs: map[string]string{}}
	if i < len(s) && s[i] == '/' {
		t.closing = true
		i++
	}
	start := i
	for i < len(s) && isNameByte(s[i]) {
		i++
	}
	t.name = strings.ToLower(s[start:i])
	for i < len(s) && s[i] != '>' {
		if !isNameByte(s[i]) {
			i++
			continue
		}
		start = i
		for i < len(s) && isNameByte(s[i]) {
			i++
		}
		name, value := strings.ToLower(s[start:i]), ""
		for i < len(s) && strings.IndexByte(" \t\r\n", s[i]) >= 0 {
			i++
		}
		if i < len(s) && s[i] == '=' {
			value, i = readValue(s, i+1)
		}
		if _, twice := t.attrs[name]; !twice {
			t.attrs[name] = html.UnescapeString(value)
		}
	}
	return t, min(i+1, len(s))
}

func isNameByte(c byte) bool {
	return c == '-' || c == ':' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func readValue(s string, i int) (string, int) {
	for i < len(s) && strings.IndexByte(" \t\r\n", s[i]) >= 0 {
		i++
	}
	if i >= len(s) {
		return "", i
	}
	if q := s[i]; q == '"' || q == '\'' {
		end := strings.IndexByte(s[i+1:], q)
		if end < 0 {
			return s[i+1:], len(s)
		}
		return s[i+1 : i+1+end], i + end + 2
	}
	start := i
	for i < len(s) && strings.IndexByte(" \t\r\n>", s[i]) < 0 {
		i++
	}
	return s[start:i], i
}

// parseForms reads the forms of a page.
func parseForms(base *url.URL, body string) []Form {
	var forms []Form
	inForm, onload := false, false
	var selected string // name of the select that is open
	scan(body, func(t tag) bool {
		if t.closing {
			switch t.name {
			case "form":
				inForm = false
			case "select":
				selected = ""
			}
			return true
		}
		switch t.name {
		case "body":
			onload = strings.Contains(t.attrs["onload"], "submit(")
		case "script":
			text := body[t.end:]
			if i := indexFold(text, "</script"); i >= 0 {
				text = text[:i]
			}
			if t.attrs["src"] == "" && selfPosting(text) {
				onload = true
			}
		case "form":
			forms = append(forms, newForm(base, t))
			inForm = true
		}
		if !inForm {
			return true
		}
		f := &forms[len(forms)-1]
		name := t.attrs["name"]
		_, disabled := t.attrs["disabled"]
		switch t.name {
		case "input":
			if name != "" && !disabled && sends(t) {
				value := t.attrs["value"]
				if _, has := t.attrs["value"]; !has && (t.attrs["type"] == "checkbox" || t.attrs["type"] == "radio") {
					value = "on"
				}
				f.Fields.Add(name, value)
			}
		case "textarea":
			text := body[t.end:]
			if i := indexFold(text, "</textarea"); i >= 0 && name != "" && !disabled {
				f.Fields.Add(name, html.UnescapeString(strings.TrimPrefix(text[:i], "\n")))
			}
		case "select":
			selected = name
		case "option":
			if _, on := t.attrs["selected"]; selected != "" && (on || !f.Fields.Has(selected)) {
				f.Fields.Set(selected, t.attrs["value"])
			}
		}
		return true
	})
	if onload && len(forms) > 0 {
		forms[0].Auto = true
	}
	return forms
}

// selfPosting tells a script whose whole point is to post a form from one that also
// can: it is short and calls submit().
func selfPosting(script string) bool {
	return len(script) < 400 && strings.Contains(script, ".submit()")
}

func newForm(base *url.URL, t tag) Form {
	f := Form{ID: t.attrs["id"], Name: t.attrs["name"], Method: http.MethodGet, Fields: url.Values{}, Action: base.String(), page: base}
	if strings.EqualFold(t.attrs["method"], "post") {
		f.Method = http.MethodPost
	}
	if a := t.attrs["action"]; a != "" {
		if u, err := base.Parse(a); err == nil {
			f.Action = u.String()
		}
	}
	_, f.Auto = t.attrs["data-autosubmit"]
	return f
}

func sends(t tag) bool {
	_, checked := t.attrs["checked"]
	switch strings.ToLower(t.attrs["type"]) {
	case "submit", "button", "image", "reset", "file":
		return false
	case "checkbox", "radio":
		return checked
	}
	return true
}
