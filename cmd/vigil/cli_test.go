package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"

	"vigil/lti/ltitest"
)

func TestHelpNamesEveryCommandAndSetting(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}} {
		code, out, _ := command(t.Context(), nil, args...)
		if code != 0 {
			t.Errorf("%v: got exit code %d, want 0", args, code)
		}
		for _, word := range []string{"serve", "demo", "migrate", "invite", "platform add", "platform replace", "keys rotate", "version"} {
			if !strings.Contains(out, word) {
				t.Errorf("%v: got no %q in the help:\n%s", args, word, out)
			}
		}
	}
	code, out, _ := command(t.Context(), nil, "serve", "--help")
	if code != 0 || !strings.Contains(out, "--public-url") || !strings.Contains(out, "--key-file") {
		t.Errorf("got exit code %d and %s, want the settings of serve", code, out)
	}
}

func TestVersionIsPrinted(t *testing.T) {
	if got := must(t, "version"); !regexp.MustCompile(`^vigil \S+ \(.*go1\.\S.*\)\n$`).MatchString(got) {
		t.Errorf("got %q, want the version and Go's", got)
	}
}

// TestBadInputIsRefusedByName tells for each command line what it must be refused for:
// 2 is a mistake of whoever typed it.
func TestBadInputIsRefusedByName(t *testing.T) {
	db := "--store=sqlite:" + filepath.Join(t.TempDir(), "vigil.db")
	serve := []string{"serve", "--public-url=http://localhost:8080", "--listen=127.0.0.1:0", "--admin-listen=off", db}
	add := []string{
		"platform", "add", db, "--issuer=https://lms.example", "--client-id=c", "--auth-url=https://lms.example/auth",
		"--token-url=https://lms.example/token", "--key-set-url=https://lms.example/keys",
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		base []string
		more []string
		env  []string
		want []string
	}{
		{"an unknown command", nil, []string{"bogus"}, nil, []string{"bogus", "vigil --help"}},
		{"an unknown flag", serve, []string{"--bogus=1"}, nil, []string{"--bogus"}},
		{"an unknown variable", serve, nil, []string{"VIGIL_PUBLIC_ULR=https://vigil.example"}, []string{"VIGIL_PUBLIC_ULR", "no such setting"}},
		{"a bad value in a variable", []string{"serve", db}, nil, []string{"VIGIL_PUBLIC_URL=ftp://vigil.example"}, []string{"public-url"}},
		{"a duration that is none, in a variable", serve, nil, []string{"VIGIL_PING_EVERY=often"}, []string{"ping-every", "often"}},
		{"no subcommand", nil, []string{"platform"}, nil, []string{"add", "list"}},
		{"no public URL", []string{"serve", db}, nil, nil, []string{"public-url", "--public-url=https://"}},
		{"a public URL with a path", serve, []string{"--public-url=https://vigil.example/a"}, nil, []string{"public-url"}},
		{"a public URL with a query", serve, []string{"--public-url=https://vigil.example?a"}, nil, []string{"public-url"}},
		{"a privacy notice that is no URL", serve, []string{"--policy-url=the notice"}, nil, []string{"policy-url", "https://school.example"}},
		{"a privacy notice that is a script", serve, []string{"--policy-url=javascript:alert(1)"}, nil, []string{"policy-url"}},
		{"a privacy notice over http", serve, []string{"--policy-url=http://school.example/"}, nil, []string{"policy-url", "https"}},
		{"a long privacy notice", serve, []string{"--policy-url=https://school.example/" + strings.Repeat("a", 1000)}, nil, []string{"policy-url", "1000"}},
		{"a contact of two lines", serve, []string{"--privacy-contact=a\nb"}, nil, []string{"privacy-contact"}},
		{"an empty contact", serve, nil, []string{"VIGIL_PRIVACY_CONTACT= "}, []string{"privacy-contact"}},
		{"a long contact", serve, []string{"--privacy-contact=" + strings.Repeat("a", 301)}, nil, []string{"privacy-contact", "300"}},
		{"a contact that no mail reaches", serve, []string{"--privacy-contact=mailto:"}, nil, []string{"privacy-contact", "mailto:"}},
		{"http off loopback", serve, []string{"--public-url=http://vigil.example"}, nil, []string{"public-url", "https"}},
		{"an address without a port", serve, []string{"--listen=127.0.0.1"}, nil, []string{"listen", "HOST:PORT"}},
		{"an admin address without a port", serve, []string{"--admin-listen=on"}, nil, []string{"admin-listen", "off"}},
		{"a proxy that is no network", serve, []string{"--trusted-proxies=somewhere"}, nil, []string{"trusted-proxies", "somewhere"}},
		{"a certificate without its key", serve, []string{"--tls-cert=" + file}, nil, []string{"tls-cert", "--tls-key"}},
		{"a certificate that is none", serve, []string{"--tls-cert=" + file, "--tls-key=" + file}, nil, []string{"tls-cert", "cannot be used"}},
		{"no time between pings", serve, []string{"--ping-every=0s"}, nil, []string{"ping-every"}},
		{"a pong that waits longer than a ping", serve, []string{"--pong-wait=11s"}, nil, []string{"pong-wait"}},
		{"a grace of hours", serve, []string{"--drop-grace=2h"}, nil, []string{"drop-grace"}},
		{"a page turn of hours", serve, []string{"--navigate-grace=2h"}, nil, []string{"navigate-grace"}},
		{"a drain of hours", serve, []string{"--drain-time=2h"}, nil, []string{"drain-time"}},
		{"an unknown log level", serve, []string{"--log-level=loud"}, nil, []string{"log-level", "loud"}},
		{"an unknown log format", serve, []string{"--log-format=xml"}, nil, []string{"log-format", "xml"}},
		{"an unknown kind of store", serve, []string{"--store=postgres:x"}, nil, []string{"store", "sqlite:PATH"}},
		{"a store without a path", []string{"migrate"}, []string{"--store=sqlite:"}, nil, []string{"store"}},
		{"a store in memory", []string{"migrate", "--status"}, []string{"--store=sqlite::memory:"}, nil, []string{"store"}},
		{"a key file that is a directory", serve, []string{"--key-file=" + t.TempDir()}, nil, []string{"key-file", "cannot be read"}},
		{"a key file of other bytes", serve, []string{"--key-file=" + file}, nil, []string{"key-file", "32 bytes"}},
		{"a key file in no directory", serve, []string{"--key-file=" + filepath.Join(file+"s", "key"), "--store=sqlite:" + filepath.Join(t.TempDir(), "fresh.db")}, nil, []string{"key-file", "cannot be made"}},
		{"an invitation without end", []string{"invite", db, "--public-url=http://localhost:1"}, []string{"--ttl=9000h"}, nil, []string{"ttl"}},
		{"an invitation without time", []string{"invite", db, "--public-url=http://localhost:1"}, []string{"--ttl=1s"}, nil, []string{"ttl"}},
		{"an invitation to nowhere", []string{"invite", db}, nil, nil, []string{"--public-url"}},
		{"an invitation to an odd place", []string{"invite", db, "--public-url=mailto:me"}, nil, nil, []string{"public"}},
		{"a platform without endpoints", []string{"platform", "add", db}, []string{"--issuer=https://lms.example"}, nil, []string{"--auth-url", "--token-url"}},
		{"an issuer that is no URL", add, []string{"--issuer=lms"}, nil, []string{"issuer"}},
		{"plain http without --private", add, []string{"--token-url=http://lms.example/token"}, nil, []string{"token-url", "https"}},
		{"an endpoint that is no URL", add, []string{"--auth-url=nowhere"}, nil, []string{"auth-url"}},
		{"a key set with a user name", add, []string{"--key-set-url=https://a:b@lms.example/keys"}, nil, []string{"key-set-url"}},
		{"an empty client id", add, []string{"--client-id="}, nil, []string{"client-id"}},
		{"no such use of keys", []string{"keys", "rotate", db}, []string{"tls"}, nil, []string{"lti", "socket"}},
		{"a demo on no port", []string{"demo", "--dir=" + t.TempDir()}, []string{"--port=0"}, nil, []string{"port", "65535"}},
		{"a demo LMS on no port", []string{"demo", "--dir=" + t.TempDir()}, []string{"--lms-port=70000"}, nil, []string{"lms-port"}},
		{"a demo in a file", []string{"demo"}, []string{"--dir=" + file}, nil, []string{"dir", "cannot be made"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, out, errs := command(t.Context(), row.env, append(append([]string{}, row.base...), row.more...)...)
			if code != 2 {
				t.Errorf("got exit code %d, want 2", code)
			}
			for _, word := range row.want {
				if !strings.Contains(errs, word) {
					t.Errorf("got %q, want %q in it", errs, word)
				}
			}
			if strings.Contains(errs, "goroutine ") || out != "" {
				t.Errorf("got %q and %q, want an error message alone", out, errs)
			}
		})
	}
}

func TestSettingsComeFromTheEnvironmentAndFlagsWin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	here, there := "sqlite:"+filepath.Join(dir, "here.db"), "sqlite:"+filepath.Join(dir, "there.db")
	env := []string{"VIGIL_STORE=" + here, "HOME=/", "VIGIL_BIN=x", "VIGIL_PUBLIC_URL=http://localhost:8080"}
	if code, _, errs := command(t.Context(), env, "migrate"); code != 0 {
		t.Fatalf("got exit code %d, %q, want 0", code, errs)
	}
	code, out, errs := command(t.Context(), env, "invite")
	if code != 0 || !strings.HasPrefix(out, "http://localhost:8080/lti/register/") {
		t.Fatalf("got exit code %d, %q, %q, want an invitation", code, out, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "here.db")); err != nil {
		t.Error("the store of the environment is not there:", err)
	}
	if code, _, errs := command(t.Context(), env, "migrate", "--store", there); code != 0 {
		t.Fatalf("got exit code %d, %q, want 0", code, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "there.db")); err != nil {
		t.Error("the store of the flag is not there:", err)
	}
}

func TestMigrateTellsWhatItDidAndWhereItStands(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "vigil.db")
	db := "--store=sqlite:" + path
	if got := must(t, "migrate", "--status", db); !strings.Contains(got, "0001_start.sql: not applied yet") {
		t.Errorf("before: got %q, want the step as not applied", got)
	}
	plan := ""
	for _, step := range sqliteSteps(t) {
		plan += "would apply " + step.Name + "\n"
	}
	if got := must(t, "migrate", "--dry-run", db); got != plan {
		t.Errorf("got plan %q, want the steps", got)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("--status or --dry-run made the file")
	}
	if got := must(t, "migrate", db); !strings.Contains(got, "applied 0001_start.sql") || !strings.Contains(got, "up to date") {
		t.Errorf("got %q, want the step as applied now", got)
	}
	for _, how := range []string{"--status", "status"} {
		if got := must(t, "migrate", how, db); !regexp.MustCompile(`0001_start\.sql: applied 20\d\d-`).MatchString(got) {
			t.Errorf("after: got %q from %s, want the step as applied", got, how)
		}
	}
	if got := must(t, "migrate", "--dry-run", db); got != upToDate+"\n" {
		t.Errorf("got plan %q, want none", got)
	}
	if code, _, errs := command(t.Context(), nil, "migrate", "stauts", db); code != 2 || !strings.Contains(errs, "migrate status") {
		t.Errorf("a word that is none: got exit code %d, %q, want 2 and the right one", code, errs)
	}
	if got := must(t, "migrate", db); strings.Contains(got, "applied 0001") || !strings.Contains(got, "up to date") {
		t.Errorf("again: got %q, want nothing applied", got)
	}
	if code, _, errs := command(t.Context(), nil, "migrate", "--store=sqlite:"+filepath.Join(path, "no", "db")); code != 1 || !strings.Contains(errs, "directory") {
		t.Errorf("in no directory: got exit code %d, %q, want 1 and a word on the directory", code, errs)
	}
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := command(t.Context(), nil, "migrate", "--store=sqlite:"+junk); code != 1 || !strings.Contains(errs, "schema cannot be read") {
		t.Errorf("in another file: got exit code %d, %q, want 1 and that it cannot be read", code, errs)
	}
}

// addPlatform registers one by hand and returns its id.
func addPlatform(t *testing.T, db, issuer, client string) string {
	t.Helper()
	return strings.TrimSpace(must(
		t, "platform", "add", db, "--issuer", issuer, "--client-id", client, "--name", "School of "+client,
		"--auth-url", issuer+"/auth", "--token-url", issuer+"/token", "--key-set-url", issuer+"/keys", "--deployment=1", "--deployment=2",
	))
}

func TestPlatformsAreAddedListedSwitchedAndRemoved(t *testing.T) {
	t.Parallel()
	db := "--store=sqlite:" + filepath.Join(t.TempDir(), "vigil.db")
	must(t, "migrate", db)
	if code, out, errs := command(t.Context(), nil, "platform", "list", db); code != 0 || out != "" || !strings.Contains(errs, "No platform") {
		t.Errorf("got %d, %q, %q, want a word that there is none", code, out, errs)
	}
	one := addPlatform(t, db, "https://lms.example", "one")
	two := addPlatform(t, db, "https://lms.example", "two")
	other := addPlatform(t, db, "https://other.example", "one")
	list := must(t, "platform", "list", db)
	for _, id := range []string{one, two, other} {
		if !strings.Contains(list, id) || strings.Count(list, "1, 2") != 3 {
			t.Errorf("got %q, want %s with its deployments", list, id)
		}
	}
	if got := must(t, "platform", "disable", db, one); got != "School of one is disabled.\n" {
		t.Errorf("got %q, want it disabled", got)
	}
	if got := must(t, "platform", "list", db); strings.Count(got, "disabled") != 1 {
		t.Errorf("got %q, want one disabled", got)
	}
	if got := must(t, "platform", "activate", db, one[:len(one)-1]); got != "School of one is active.\n" {
		t.Errorf("got %q, want it active again", got)
	}
	must(t, "platform", "activate", db, one) // twice is fine
	if got := must(t, "platform", "replace", db, one, two); !strings.HasPrefix(got, "0 links moved.") {
		t.Errorf("got %q, want no links moved", got)
	}
	for _, row := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"add", "--issuer=https://lms.example", "--client-id=one", "--auth-url=https://l.example", "--token-url=https://l.example", "--key-set-url=https://l.example"}, 1, "registered already"},
		{[]string{"activate", "nobody"}, 1, "no platform with the id"},
		{[]string{"disable", "nobody"}, 1, "no platform with the id"},
		{[]string{"disable", one[:4]}, 2, "More than one"},
		{[]string{"replace", one, "nobody"}, 1, "no platform with the id"},
		{[]string{"replace", "nobody", one}, 1, "no platform with the id"},
		{[]string{"replace", one, one}, 2, "cannot replace itself"},
		{[]string{"replace", one, other}, 2, "different issuers"},
		{[]string{"remove", one}, 1, "--yes"},
		{[]string{"remove", "nobody", "--yes"}, 1, "no platform with the id"},
		{[]string{"activate"}, 2, "<id>"},
		{[]string{"activate", ""}, 2, "More than one"},
	} {
		code, _, errs := command(t.Context(), nil, append([]string{"platform", row.args[0], db}, row.args[1:]...)...)
		if code != row.code || !strings.Contains(errs, row.want) {
			t.Errorf("%v: got %d, %q, want %d and %q", row.args, code, errs, row.code, row.want)
		}
	}
	must(t, "platform", "remove", db, one, "--yes")
	if got := must(t, "platform", "list", db); strings.Contains(got, one) || !strings.Contains(got, two) {
		t.Errorf("got %q, want the removed one gone and the others there", got)
	}
}

// TestARunningServerHeedsThePlatformCommands changes a platform under a running server.
func TestARunningServerHeedsThePlatformCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	s.seat(student)
	must(t, "platform", "disable", "--store", s.store(), s.platform)
	if _, err := takeSeat(t.Context(), s.tool, s.lms, another, plain); err == nil {
		t.Error("got a launch of a disabled platform, want a refusal")
	}
	must(t, "platform", "activate", "--store", s.store(), s.platform)
	s.seat(another)

	// The admin registers the tool anew: another client id, the same quiz.
	tool, _ := s.lms.Platform().Tool(s.client)
	tool.ClientID, tool.DeploymentID = "", ""
	fresh := s.lms.Platform().Register(tool)
	e := s.lms.Platform().Endpoints(fresh.ClientID)
	successor := strings.TrimSpace(must(t, "platform", "add", "--store", s.store(), "--private", "--issuer", e.Issuer, "--client-id", fresh.ClientID,
		"--auth-url", e.Authorization, "--token-url", e.Token, "--key-set-url", e.KeySet))
	if got := must(t, "platform", "replace", "--store", s.store(), s.platform, successor); !strings.HasPrefix(got, "1 links moved.") {
		t.Errorf("got %q, want the quiz's link moved", got)
	}
}

func TestAnInvitationRegistersAPlatformOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	link := strings.TrimSpace(must(t, "invite", "--store", s.store(), "--public-url", s.tool, "--private", "--review"))
	if status, body := get(t, link); status != http.StatusOK || !strings.Contains(body, link) {
		t.Fatalf("got %d for the link as it is, want the page that says how to use it", status)
	}
	register := func() *ltitest.Page {
		t.Helper()
		b := ltitest.NewBrowser(nil)
		page, err := b.Open(t.Context(), s.lms.Platform().RegistrationURL(link))
		s.ok(err)
		if len(page.Forms) == 0 {
			return page
		}
		page, err = b.Submit(t.Context(), page.Forms[0], nil)
		s.ok(err)
		return page
	}
	if page := register(); page.Status != http.StatusOK {
		t.Fatalf("got %d, want the platform registered:\n%s", page.Status, page.Body)
	}
	if got := must(t, "platform", "list", "--store", s.store()); strings.Count(got, "pending") < 1 {
		t.Errorf("got %q, want the new platform pending", got)
	}
	if page := register(); page.Status < 400 {
		t.Errorf("again: got %d, want a refusal", page.Status)
	}
}

func TestKeysAreListedAndNotRotatedTooEarly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := s.serve()
	server.end()
	list := must(t, "keys", "list", "--store", s.store())
	for _, want := range []string{`(?m)^lti +active `, `(?m)^lti +next `, `(?m)^socket +active `, `(?m)^socket +next `} {
		if !regexp.MustCompile(want).MatchString(list) {
			t.Errorf("got %q, want %s in it", list, want)
		}
	}
	for _, use := range []string{"lti", "socket"} {
		code, _, errs := command(t.Context(), nil, "keys", "rotate", "--store", s.store(), use)
		if code != 1 || !strings.Contains(errs, "rotate again in") {
			t.Errorf("%s: got %d, %q, want 1 and when to try again", use, code, errs)
		}
	}

	// The key file belongs to the store.
	key := s.db + ".key"
	secret, err := os.ReadFile(key)
	s.ok(err)
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, want 0600", info.Mode())
	}
	refused := func(what string, wantCode int, want ...string) {
		t.Helper()
		for _, args := range [][]string{s.args(), {"keys", "rotate", "--store", s.store(), "lti"}} {
			code, _, errs := command(t.Context(), nil, args...)
			if code != wantCode {
				t.Errorf("%s, %s: got exit code %d, want %d", what, args[0], code, wantCode)
			}
			for _, word := range want {
				if !strings.Contains(errs, word) {
					t.Errorf("%s, %s: got %q, want %q in it", what, args[0], errs, word)
				}
			}
		}
	}
	s.ok(os.Remove(key))
	refused("no key file", 2, "key-file", "backup")
	if _, err := os.Stat(key); err == nil {
		t.Error("a new key file was made for a store that has keys")
	}
	s.ok(os.WriteFile(key, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600))
	refused("another key file", 1, "does not open this key")
	s.ok(os.WriteFile(key, []byte("c2hvcnQ="), 0o600))
	refused("a short key file", 2, "key-file", "32 bytes")
	s.ok(os.WriteFile(key, secret, 0o600))
	s.serve()
}

func TestServeSaysWhyItCannotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer.db")
	must(t, "migrate", "--store=sqlite:"+newer)
	bumpSchema(t, newer)
	for _, row := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"the port is taken", []string{"--listen", taken.Addr().String()}, 2, []string{"listen", taken.Addr().String(), "another program"}},
		{"the admin port is taken", []string{"--admin-listen", taken.Addr().String()}, 2, []string{"admin-listen", taken.Addr().String()}},
		{"no directory for the store", []string{"--store", "sqlite:" + filepath.Join(dir, "none", "vigil.db")}, 1, []string{"directory", "none"}},
		{"a file for a directory", []string{"--store", "sqlite:" + filepath.Join(file, "vigil.db")}, 1, []string{"directory"}},
		{"a directory for the store", []string{"--store", "sqlite:" + dir}, 1, []string{"database"}},
		{"a newer schema", []string{"--store", "sqlite:" + newer}, 1, []string{"newer"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			args := append([]string{
				"serve", "--public-url=http://localhost:1", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
				"--store=sqlite:" + filepath.Join(t.TempDir(), "vigil.db"),
			}, row.args...)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			code, _, errs := command(ctx, nil, args...)
			if code != row.code || ctx.Err() != nil {
				t.Errorf("got exit code %d, want %d: %s", code, row.code, errs)
			}
			for _, word := range row.want {
				if !strings.Contains(errs, word) {
					t.Errorf("got %q, want %q in it", errs, word)
				}
			}
		})
	}
}

func TestServeOnAReadOnlyDiskSaysSo(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "4m")
	db := "sqlite:" + filepath.Join(dir, "vigil.db")
	must(t, "migrate", "--store", db)
	remount(t, dir, "4m", true)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	code, _, errs := command(ctx, nil, "serve", "--public-url=http://localhost:1", "--listen=127.0.0.1:0", "--admin-listen=off", "--store", db)
	if code != 1 || !strings.Contains(errs, "read-only") {
		t.Errorf("got exit code %d, %q, want 1 and that the disk is read-only", code, errs)
	}
}

func TestTheKeyFileIsMadeOnceByManyAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	sealed := make(chan []byte, 8)
	errs := make(chan error, 8)
	for range 8 {
		go func() {
			s, err := openSealer(path, true)
			if err != nil {
				errs <- err
				return
			}
			b, err := s.Seal([]byte("secret"))
			errs <- err
			sealed <- b
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	s, err := openSealer(path, false)
	if err != nil {
		t.Fatal(err)
	}
	for range 8 {
		if plain, err := s.Open(<-sealed); err != nil || string(plain) != "secret" {
			t.Errorf("got %q, %v, want every process to have the same key", plain, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".vigil-key-*")); err != nil || len(left) > 0 {
		t.Errorf("got left-overs %v (%v), want none", left, err)
	}
}

func TestWhatAnErrorSaysToTheOperator(t *testing.T) {
	if got := forPeople(fmt.Errorf("plain")); got != "plain" {
		t.Errorf("got %q, want the error as it is", got)
	}
	if got, want := forPeople(keyFileError(os.ErrPermission, "No %s.", "x")), "key-file: No x. (permission denied)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheVersionTellsFromWhatItWasBuilt(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26.0", Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-11-30T00:00:00Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	for _, row := range []struct {
		info         *debug.BuildInfo
		commit, date string
		want         string
	}{
		{info, "def", "2026-12-01T00:00:00Z", "commit def, 2026-12-01T00:00:00Z, go1.26.0"},
		{info, "", "", "commit abc and changes, 2026-11-30T00:00:00Z, go1.26.0"},
		{&debug.BuildInfo{GoVersion: "go1.26.0"}, "", "", "go1.26.0"},
	} {
		if got := strings.Join(builtFrom(row.info, row.commit, row.date), ", "); got != row.want {
			t.Errorf("got %q, want %q", got, row.want)
		}
	}
}
