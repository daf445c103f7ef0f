package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"vigil/lti/ltitest/lms"
	"vigil/realtime/relay/redisrelay/redistest"
)

// quickPings make a server's trial of quiet connections short.
var quickPings = []string{"--ping-every=400ms", "--pong-wait=200ms"}

func TestTheDoctorFindsNothingWhereAllIsWell(t *testing.T) {
	s := newSite(t)
	s.serve(quickPings...)
	code, out, errs := command(t.Context(), nil, "doctor", "--store", s.store(), "--public-url", s.tool)
	if code != 0 || strings.Count(out, "ok  ") != 10 {
		t.Errorf("got code %d, %q, %q, want 0 and ten times ok", code, out, errs)
	}
}

// The older side is named, the plugin or this server, and what to update; nothing fails.
func TestTheDoctorNamesOldPlugins(t *testing.T) {
	for _, row := range []struct {
		version int
		want    string
	}{
		{-1, "no platform with Vigil's plugin"},
		{1, "Update the plugin there"},
		{2, "Update the plugin there: until then whoever teaches sees all students"},
		{3, "all of version 3"},
		{4, "Update Vigil here"},
	} {
		s := newSite(t, func(c *lms.Config) {
			if c.Platform.Plugin = row.version; row.version < 0 {
				withoutPlugin(c)
			}
		})
		s.serve(quickPings...)
		s.seat(student)
		code, out, errs := command(t.Context(), nil, "doctor", "--store", s.store(), "--public-url", s.tool)
		if code != 0 || !strings.Contains(out, row.want) || strings.Contains(out, "warn  plugins") != strings.HasPrefix(row.want, "Update") {
			t.Errorf("version %d: got code %d, %q, %q, want 0 and %q", row.version, code, out, errs, row.want)
		}
	}
}

func TestTheDoctorNamesWhatIsWrongAndWhatToDo(t *testing.T) {
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "vigiltest", "AWS_SECRET_ACCESS_KEY": "vigiltest", "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(name, value)
	}
	s := newSite(t)
	s.serve(quickPings...)
	target, err := url.Parse("http://" + s.listen)
	if err != nil {
		t.Fatal(err)
	}
	strips := httptest.NewServer(&httputil.ReverseProxy{Transport: plain.Transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Upgrade")
		r.Out.Header.Del("Connection")
	}})
	defer strips.Close()
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	defer elsewhere.Close()
	other := newSite(t)
	other.serve(quickPings...)
	redis := redistest.Start(t, "--requirepass", "secret")
	well := []string{"doctor", "--store", s.store(), "--public-url", s.tool}
	for _, row := range []struct {
		name  string
		args  []string
		check string
		says  string
	}{
		{"a load balancer that strips Upgrade", []string{"doctor", "--store", s.store(), "--public-url", strips.URL}, "websocket", "pass Upgrade"},
		{"a public URL that leads elsewhere", []string{"doctor", "--store", s.store(), "--public-url", elsewhere.URL}, "public url", "send everything"},
		{"a server on another store", []string{"doctor", "--store", other.store(), "--public-url", s.tool}, "public url", "the same --store"},
		{"no store", []string{"doctor", "--store", "sqlite:" + s.dir + "/none/vigil.db", "--public-url", s.tool}, "store", "vigil migrate"},
		{"another secret", append([]string{"--key-secret", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}, well...), "keys", "the one that the server has"},
		{"Redis with another password", []string{"doctor", "--store", "dynamodb:x?region=r&endpoint=http://127.0.0.1:1", "--redis", "redis://:wrong@" + redis.Address, "--public-url", s.tool}, "redis", "password"},
	} {
		args := row.args
		if args[0] != "doctor" { // the command comes first
			args = append(append([]string{}, args[2:]...), args[:2]...)
		}
		code, out, errs := command(t.Context(), nil, args...)
		failed := false
		for _, part := range strings.Split(out, "FAIL") {
			failed = failed || strings.HasPrefix(strings.TrimSpace(part), row.check) && strings.Contains(part, row.says)
		}
		if code != 1 || !failed {
			t.Errorf("%s: got code %d, %q, %q, want 1 and %s failing with %q", row.name, code, out, errs, row.check, row.says)
		}
		if strings.Contains(out+errs, "wrong@") || strings.Contains(out+errs, "secret@") {
			t.Errorf("%s: a password is shown: %q", row.name, out+errs)
		}
	}
}

func TestServeRefusesRedisThatMakesNoSense(t *testing.T) {
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"--store=sqlite:" + t.TempDir() + "/v.db", "--redis=http://localhost"}, "redis: "},
		{[]string{"--store=dynamodb:x?region=r&endpoint=http://127.0.0.1:1", "--redis=redis://localhost", "--redis-partitions=-1"}, "redis-partitions: "},
	} {
		code, _, errs := command(t.Context(), nil, append([]string{"serve", "--public-url=https://vigil.example.edu"}, row.args...)...)
		if code != 2 || !strings.Contains(errs, row.want) {
			t.Errorf("%v: got code %d, %q, want 2 and %q", row.args, code, errs, row.want)
		}
	}
}
