package vigil

import (
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func TestOrigin(t *testing.T) {
	tests := []struct{ raw, want string }{
		{"https://lms.example", "https://lms.example"},
		{"https://lms.example/mod/lti/auth.php?a=b#c", "https://lms.example"},
		{"HTTPS://LMS.Example:443/", "https://lms.example"},
		{"http://lms.example:80/", "http://lms.example"},
		{"http://lms.example:443", "http://lms.example:443"},
		{"https://lms.example:8443", "https://lms.example:8443"},
		{"https://lms.example:08443", "https://lms.example:8443"},
		{"https://lms.example:", "https://lms.example"},
		{"http://127.0.0.1:8081/x", "http://127.0.0.1:8081"},
		{"http://[::1]:8081/x", "http://[::1]:8081"},
		{"https://[2001:DB8:0::1]:443", "https://[2001:db8::1]"},
		{"https://xn--bcher-kva.example", "https://xn--bcher-kva.example"},

		{"", ""},
		{"lms.example", ""},
		{"//lms.example", ""},
		{"/path", ""},
		{"https:lms.example", ""},
		{"https://", ""},
		{"http://:80", ""},
		{"https:///path", ""},
		{"ftp://lms.example", ""},
		{"javascript:alert(1)", ""},
		{"data:text/html,x", ""},
		{"https://user@lms.example", ""},
		{"https://user:secret@lms.example", ""},
		{"https://@lms.example", ""},
		{"https://lms.example\\@evil.example", ""},
		{"https://lms.example:0", ""},
		{"https://lms.example:70000", ""},
		{"https://lms.example:x", ""},
		{"https://lms.example;script-src", ""},
		{"https://lms.example,evil.example", ""},
		{"https://*", ""},
		{"https://'none'", ""},
		{"https://bücher.example", ""},
		{"https://\u212Aelvin.example", ""},
		{"https://[fe80::1%25eth0]", ""},
		{"https://[::1", ""},
		{"https://lms.example\n", ""},
		{" https://lms.example", ""},
	}
	for _, tt := range tests {
		if got := Origin(tt.raw); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.raw, got, tt.want)
		}
	}
}

var originForm = regexp.MustCompile(`\Ahttps?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?\z`)

func FuzzOrigin(f *testing.F) {
	for _, s := range []string{
		"https://lms.example:443/a", "http://[::ffff:1.2.3.4]:80", "https://u:p@h", "http://:80", "https://a;b", "http://h:00080", "https://%41", "https://[::1%25a]", "//h", "https://h:",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := Origin(raw)
		if got == "" {
			return
		}
		if !originForm.MatchString(got) {
			t.Fatalf("%q: got %q, which is no origin", raw, got)
		}
		if again := Origin(got); again != got {
			t.Fatalf("%q: the origin's origin: got %q, want %q", raw, again, got)
		}
		if u, err := url.Parse(raw); err != nil || u.User != nil {
			t.Fatalf("%q: let user info or a bad URL through as %q", raw, got)
		}
		if strings.HasSuffix(got, ":80") && strings.HasPrefix(got, "http://") || strings.HasSuffix(got, ":443") && strings.HasPrefix(got, "https://") {
			if !strings.Contains(got, "[") || strings.Contains(got, "]:") {
				t.Fatalf("%q: got %q with the usual port", raw, got)
			}
		}
	})
}

func TestPlatformOriginsAreDistinct(t *testing.T) {
	p := Platform{
		Issuer: "https://lms.example/", AuthorizationEndpoint: "https://LMS.example:443/auth",
		TokenEndpoint: "https://api.lms.example/token", KeySetURL: "urn:keys",
	}
	want := []string{"https://lms.example", "https://api.lms.example"}
	if got := p.Origins(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAliasesStayWithinOneCourse(t *testing.T) {
	e := Exam{Issuer: "https://lms.example", ContextID: "c1"}
	tests := []struct {
		issuer, context string
		want            Code
	}{
		{"https://lms.example", "c1", ""},
		{"https://lms.example", "c2", CodeForbidden},
		{"https://other.example", "c1", CodeForbidden},
		{"https://lms.example", "", CodeForbidden},
	}
	for _, tt := range tests {
		if got := CodeOf(e.CanAlias(tt.issuer, tt.context)); got != tt.want {
			t.Errorf("%s %q: got %q, want %q", tt.issuer, tt.context, got, tt.want)
		}
	}
	if got := CodeOf((Exam{Issuer: "i"}).CanAlias("i", "")); got != CodeForbidden {
		t.Errorf("without any course: got %q, want %q", got, CodeForbidden)
	}
}
