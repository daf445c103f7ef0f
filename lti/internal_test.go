package lti

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"vigil"
)

func TestAddressesThatMayBeDialled(t *testing.T) {
	for _, row := range []struct {
		addr            string
		public, private bool
	}{
		{"93.184.216.34", true, true},
		{"2606:4700::1111", true, true},
		{"10.1.2.3", false, true},
		{"172.31.255.255", false, true},
		{"172.32.0.1", true, true},
		{"192.168.1.1", false, true},
		{"127.0.0.1", false, true},
		{"127.255.0.1", false, true},
		{"100.64.0.1", false, true},
		{"198.18.0.1", false, true},
		{"::1", false, true},
		{"fd12::1", false, true},
		{"::ffff:10.0.0.1", false, true},
		{"::ffff:93.184.216.34", true, true},
		{"64:ff9b::10.0.0.1", false, true},
		{"2002:0a00:0001::1", false, true},
		{"::10.0.0.1", false, true},
		{"169.254.169.254", false, false},
		{"169.254.1.1", false, false},
		{"::ffff:169.254.169.254", false, false},
		{"64:ff9b::169.254.169.254", false, false},
		{"64:ff9b::8.8.8.8", true, true},
		{"64:ff9b:1::8.8.8.8", true, true},
		{"64:ff9b:1::10.0.0.1", false, true},
		{"64:ff9b:1:7f00:0:100:808:808", false, false}, // 127.0.0.1 under a prefix of 48 bits, and 0.1.0.8 under one of 64
		{"64:ff9b:1:a9fe:a9:fe00::", false, false},     // 169.254.169.254 under one of 48
		{"64:ff9b:1:ab0a:0:100::", false, false},       // 10.0.0.1 under one of 56
		{"168.63.129.16", false, false},
		{"192.88.99.1", false, false},
		{"2002:a9fe:a9fe::1", false, false},
		{"fd00:ec2::254", false, false},
		{"fe80::1", false, false},
		{"fe80::1%eth0", false, false},
		{"100.100.100.200", false, false},
		{"0.0.0.0", false, false},
		{"0.1.2.3", false, false},
		{"::", false, false},
		{"224.0.0.1", false, false},
		{"ff02::1", false, false},
		{"255.255.255.255", false, false},
	} {
		addr := netip.MustParseAddr(row.addr)
		if got := addressAllowed(addr, false); got != row.public {
			t.Errorf("%s for a public platform: got %v, want %v", row.addr, got, row.public)
		}
		if got := addressAllowed(addr, true); got != row.private {
			t.Errorf("%s for a private platform: got %v, want %v", row.addr, got, row.private)
		}
	}
	for _, bad := range []string{"", "example.com:443", "1.2.3.4", "1.2.3.4:80:80"} {
		if checkAddress(bad, true) == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}

func TestStrictJSON(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for _, row := range []struct {
		in string
		ok bool
	}{
		{`{}`, true},
		{` {"a":1,"A":2,"b":{"a":3}} `, true},
		{`{"a":"\ud83d\ude00","b":"\\ud800"}`, true},
		{deep(32), true},
		{deep(33), false},
		{``, false},
		{`null`, false},
		{`[]`, false},
		{`"a"`, false},
		{`{"a":1,"a":1}`, false},
		{`{"a":1,"\u0061":2}`, false},
		{`{"b":[{"a":1,"a":1}]}`, false},
		{`{"a":1}{}`, false},
		{`{"a":1},`, false},
		{`{"a":01}`, false},
		{`{"a":NaN}`, false},
		{`{"a":'x'}`, false},
		{`{a:1}`, false},
		{`{"a":1,}`, false},
		{"{\"a\":\"\xff\"}", false},
		{"\ufeff{}", false},
		{`{"a":"\ud800"}`, false},
		{`{"a":"\udc00"}`, false},
		{`{"a":"\ud800\u0041"}`, false},
		{`{"\ud800":1}`, false},
		{"{\"a\":\"\n\"}", false},
	} {
		if _, err := parseObject([]byte(row.in)); (err == nil) != row.ok {
			t.Errorf("%.60q: got error %v, want ok %v", row.in, err, row.ok)
		}
	}
}

func TestNumbersAreWhatTheyLookLike(t *testing.T) {
	o, err := parseObject([]byte(`{"i":7,"f":1.5,"z":1.0,"e":1e3,"s":"1","n":null,"big":9223372036854775808,"b":true}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"i": true, "f": false, "z": false, "e": false, "s": false, "n": false, "big": false, "b": false, "no": false} {
		if _, ok := o.integer(name); ok != want {
			t.Errorf("integer %s: got %v, want %v", name, ok, want)
		}
	}
	for name, want := range map[string]bool{"i": true, "f": true, "e": true, "s": false, "n": false, "big": true, "b": false} {
		if _, ok := o.number(name); ok != want {
			t.Errorf("number %s: got %v, want %v", name, ok, want)
		}
	}
}

func TestNextPageLinks(t *testing.T) {
	const page = "https://lms.example/members?p=1"
	for _, row := range []struct{ header, want string }{
		{`<https://lms.example/members?p=2>; rel="next"`, "https://lms.example/members?p=2"},
		{`</members?p=2>; rel=next`, "https://lms.example/members?p=2"},
		{`<https://x/>; rel="prev", <https://lms.example/2>; title="a"; rel="last next"`, "https://lms.example/2"},
		{`<https://lms.example/2>; rel="nextish"`, ""},
		{`https://lms.example/2; rel="next"`, ""},
		{`<`, ""},
		{``, ""},
	} {
		if got := nextPage(page, []string{row.header}); got != row.want {
			t.Errorf("%s: got %q, want %q", row.header, got, row.want)
		}
	}
}

func TestCanvasMayHaveOneIssuerForAllItsCustomers(t *testing.T) {
	config := func(host, family string) []byte {
		return []byte(`{"issuer":"https://canvas.instructure.com","authorization_endpoint":"https://sso.canvaslms.com/auth",` +
			`"token_endpoint":"https://sso.canvaslms.com/token","jwks_uri":"https://sso.canvaslms.com/jwks","registration_endpoint":"https://` + host + `/register",` +
			`"https://purl.imsglobal.org/spec/lti-platform-configuration":{"product_family_code":"` + family + `"}}`)
	}
	for _, row := range []struct {
		url, host, family string
		want              *Fault
	}{
		{"https://school.instructure.com/config", "school.instructure.com", "canvas", nil},
		{"https://school.instructure.com/config", "school.instructure.com", "moodle", ErrRegistrationIssuer},
		{"https://instructure.com.evil.example/config", "school.instructure.com", "canvas", ErrRegistrationIssuer},
		{"https://evilinstructure.com/config", "school.instructure.com", "canvas", ErrRegistrationIssuer},
		{"http://school.instructure.com/config", "school.instructure.com", "canvas", ErrRegistrationIssuer},
		{"https://school.instructure.com/config", "evil.example", "canvas", ErrRegistrationEndpoint},
	} {
		_, err := parseConfiguration(config(row.host, row.family), row.url)
		if FaultOf(err) != row.want {
			t.Errorf("%+v: got %v", row, err)
		}
	}
}

func TestUnknownKeyIDsDoNotFillMemory(t *testing.T) {
	e := &keySetEntry{set: &keySet{}, unknown: map[string]time.Time{}}
	now := time.Unix(1_000_000, 0)
	for i := range 3 * maxUnknownKeys {
		e.remember(strconv.Itoa(i), now)
	}
	if got := len(e.unknown); got != maxUnknownKeys {
		t.Errorf("got %d remembered, want %d", got, maxUnknownKeys)
	}
	e.remember("later", now.Add(keyUnknownFor))
	if got := len(e.unknown); got != 1 {
		t.Errorf("got %d remembered a minute later, want 1", got)
	}
}

func TestTruncateKeepsCharactersWhole(t *testing.T) {
	for _, row := range []struct {
		in   string
		n    int
		want string
	}{{"abc", 5, "abc"}, {"abc", 2, "ab"}, {"aé", 2, "a"}, {"é", 1, ""}} {
		if got := truncate(row.in, row.n); got != row.want {
			t.Errorf("%q to %d: got %q, want %q", row.in, row.n, got, row.want)
		}
	}
}

// A fetch or a read that panics must not lock out everyone who comes after it: the HTTP
// server goes on.
func TestAPanicLocksNobodyOut(t *testing.T) {
	panics := func(f func()) (did bool) {
		defer func() { did = recover() != nil }()
		f()
		return false
	}
	sets := newKeySets(nil, time.Now) // no fetcher: a fetch panics
	get := func() { _, _ = sets.key(t.Context(), "https://lms.example/jwks", false, "a", time.Time{}) }
	if !panics(get) || panics(get) {
		t.Error("key sets: want one panic, then an answer")
	}
	keys := NewKeys(nil, nil, KeyOptions{}) // no store
	read := func() { _, _ = keys.Set(t.Context(), vigil.KeyLTI) }
	if !panics(read) || panics(read) {
		t.Error("keys: want one panic, then an answer")
	}
}
