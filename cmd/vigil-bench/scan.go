//go:build linux

package main

// A reader of JSON that allocates nothing: it finds the ends of values and trusts what is
// within them. At the rates of this program encoding/json would cost the load more than
// the server spends; frames that need more than their first fields go through it.

// eachFrame calls f for the objects of a message: the one, or those of an array. It is
// false for a message that is neither.
func eachFrame(msg []byte, f func(frame []byte)) bool {
	i := space(msg, 0)
	if i >= len(msg) {
		return false
	}
	if msg[i] == '{' {
		end := value(msg, i)
		if end < 0 || space(msg, end) != len(msg) {
			return false
		}
		f(msg[i:end])
		return true
	}
	if msg[i] != '[' {
		return false
	}
	if i = space(msg, i+1); i < len(msg) && msg[i] == ']' {
		return space(msg, i+1) == len(msg)
	}
	for {
		if i >= len(msg) || msg[i] != '{' {
			return false
		}
		end := value(msg, i)
		if end < 0 {
			return false
		}
		f(msg[i:end])
		if i = space(msg, end); i >= len(msg) {
			return false
		}
		switch msg[i] {
		case ',':
			i = space(msg, i+1)
		case ']':
			return space(msg, i+1) == len(msg)
		default:
			return false
		}
	}
}

// eachField calls f for the fields of an object until it says false. Names and values are
// as they stand there. It is false for what is no object.
func eachField(object []byte, f func(name, value []byte) bool) bool {
	i := space(object, 0)
	if i >= len(object) || object[i] != '{' {
		return false
	}
	if i = space(object, i+1); i < len(object) && object[i] == '}' {
		return true
	}
	for {
		if i >= len(object) || object[i] != '"' {
			return false
		}
		end := value(object, i)
		if end < 0 {
			return false
		}
		name := object[i+1 : end-1]
		if i = space(object, end); i >= len(object) || object[i] != ':' {
			return false
		}
		i = space(object, i+1)
		if end = value(object, i); end < 0 {
			return false
		}
		if !f(name, object[i:end]) {
			return true
		}
		if i = space(object, end); i >= len(object) {
			return false
		}
		switch object[i] {
		case ',':
			i = space(object, i+1)
		case '}':
			return true
		default:
			return false
		}
	}
}

// value is the end of the value that begins at i, or -1.
func value(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return str(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				if i = str(b, i); i < 0 {
					return -1
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return -1
	}
	from := i
	for i < len(b) {
		switch b[i] {
		case ',', '}', ']', ':', '"', '{', '[', ' ', '\t', '\r', '\n':
			if i == from {
				return -1
			}
			return i
		}
		i++
	}
	return i
}

// str is the end of the string that begins at i, or -1.
func str(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// text is a string value without its quotes; ids have nothing escaped in them.
func text(value []byte) []byte {
	if len(value) >= 2 && value[0] == '"' {
		return value[1 : len(value)-1]
	}
	return nil
}

// number is a whole number, or -1.
func number(value []byte) int64 {
	if len(value) == 0 || len(value) > 18 {
		return -1
	}
	var n int64
	for _, c := range value {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	return n
}
