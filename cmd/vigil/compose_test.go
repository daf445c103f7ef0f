//go:build unix

package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vigil/lti/ltitest/lms"
	"vigil/realtime/relay/redisrelay/redistest"
)

// composition is what deploy/compose.yaml says of the servers and of Caddy. Its lines are
// read as they are written there; what does not look so fails.
func composition(t *testing.T, oldnew ...string) (settings []string, caddyfile string) {
	t.Helper()
	text := ofDeploy(t, "compose.yaml", oldnew...)
	_, after, ok := strings.Cut(text, "\n  environment: &settings\n")
	if !ok {
		t.Fatal("got no settings in compose.yaml")
	}
	line := regexp.MustCompile(`^    ([A-Z0-9_]+): (.+)$`)
	for l := range strings.Lines(after) {
		m := line.FindStringSubmatch(strings.TrimRight(l, "\n"))
		if m == nil {
			break
		}
		settings = append(settings, m[1]+"="+strings.Trim(m[2], `"`))
	}
	_, after, ok = strings.Cut(text, "\n    content: |\n")
	if !ok {
		t.Fatal("got no Caddyfile in compose.yaml")
	}
	for l := range strings.Lines(after) {
		if !strings.HasPrefix(l, "      ") {
			break
		}
		caddyfile += strings.TrimPrefix(l, "      ")
	}
	return settings, caddyfile
}

// TestTheCompositionOfDeploy runs as plain processes what deploy/compose.yaml runs in
// containers: the tables are made once, then two servers on DynamoDB Local and Redis serve an
// exam behind Caddy, which asks them whether they are ready. One dies.
func TestTheCompositionOfDeploy(t *testing.T) {
	program(t, "caddy")
	prefix, region, endpoint := dynamoTables(t)
	redis := redistest.Start(t)
	port, admin, public := portOf(freeAddress(t)), portOf(freeAddress(t)), "localhost:"+portOf(freeAddress(t))
	hosts := []string{"127.0.0.1", "127.0.0.2"} // two machines: Caddy asks both on one port
	f := &front{authority: newAuthority(t), public: public}
	f.cert, f.key = f.authority.issue("localhost", time.Now().Add(-time.Hour), time.Now().AddDate(0, 3, 0))
	settings, caddyfile := composition(t,
		"dynamodb:vigil?region=local&endpoint=http://dynamodb:8000", "dynamodb:"+prefix+"?region="+region+"&endpoint="+endpoint,
		"redis://redis:6379", "redis://"+redis.Address,
		"AWS_ACCESS_KEY_ID: local", "AWS_ACCESS_KEY_ID: "+os.Getenv("AWS_ACCESS_KEY_ID"),
		"AWS_SECRET_ACCESS_KEY: local", "AWS_SECRET_ACCESS_KEY: "+os.Getenv("AWS_SECRET_ACCESS_KEY"),
		"localhost:8443", public, "tls internal", "bind 127.0.0.1\n      \ttls "+f.cert+" "+f.key,
		"vigil1:8080 vigil2:8080", net.JoinHostPort(hosts[0], port)+" "+net.JoinHostPort(hosts[1], port), "health_port 9090", "health_port "+admin,
		"VIGIL_TRUSTED_PROXIES: 10.0.0.0/8", "VIGIL_TRUSTED_PROXIES: 127.0.0.0/8,10.0.0.0/8",
	)
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	migrate := exec.CommandContext(t.Context(), path, "migrate")
	migrate.Env = settings
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v\n%s", err, out)
	}
	f.site = newSiteOn(t, "dynamodb:"+prefix+"?region="+region+"&endpoint="+endpoint, func(c *lms.Config) {
		c.Tool = "https://" + public
		c.Platform.Client = &http.Client{Transport: f.authority.transport(), Timeout: 5 * time.Second}
	})
	f.env = settings
	for _, host := range hosts {
		n := &node{T: t, log: &output{}, done: make(chan struct{}), cmd: exec.Command(path, "serve")}
		for _, s := range settings {
			switch s {
			case "VIGIL_LISTEN=:8080":
				s = "VIGIL_LISTEN=" + net.JoinHostPort(host, port)
			case "VIGIL_ADMIN_LISTEN=:9090":
				s = "VIGIL_ADMIN_LISTEN=" + net.JoinHostPort(host, admin)
			}
			n.cmd.Env = append(n.cmd.Env, s)
		}
		n.cmd.Stderr = n.log
		f.ok(n.cmd.Start())
		go func() {
			defer close(n.done)
			_ = n.cmd.Wait() // the exit code says it
			n.code = n.cmd.ProcessState.ExitCode()
		}()
		t.Cleanup(n.kill)
		server := &site{T: t, admin: net.JoinHostPort(host, admin)}
		server.ready(n)
		f.nodes = append(f.nodes, n)
	}
	config := filepath.Join(t.TempDir(), "Caddyfile")
	f.ok(os.WriteFile(config, []byte("{\n\tadmin off\n\tauto_https disable_redirects\n}\n"+caddyfile), 0o600))
	f.run("caddy", "run", "--adapter", "caddyfile", "--config", config)
	f.exam()
}
