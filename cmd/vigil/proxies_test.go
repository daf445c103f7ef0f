//go:build unix

package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vigil"
	"vigil/internal/testutil"
	"vigil/lti/ltitest"
	"vigil/lti/ltitest/lms"
	"vigil/realtime/client"
	"vigil/realtime/relay/redisrelay/redistest"
)

// program finds a program that a test cannot do without; elsewhere than in CI the test is
// skipped where there is none.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("no %s (Debian: %s)", name, name)
	}
	t.Skipf("no %s (Debian: %s)", name, name)
	return ""
}

// ofDeploy reads a file of deploy with other values; each must be there.
func ofDeploy(t *testing.T, name string, oldnew ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			t.Fatalf("deploy/%s: got no %q, want it to be there", name, oldnew[i])
		}
		text = strings.ReplaceAll(text, oldnew[i], oldnew[i+1])
	}
	return text
}

// front is a proxy program before two servers.
type front struct {
	*site
	authority *authority
	cert, key string
	servers   []*site
	nodes     []*node
	public    string // host:port of the proxy
}

// newFront runs two servers on one store behind a public URL with TLS, a name and a port
// of its own; nothing listens there yet.
func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{authority: newAuthority(t)}
	f.public = "localhost:" + portOf(freeAddress(t))
	f.cert, f.key = f.authority.issue("localhost", time.Now().Add(-time.Hour), time.Now().AddDate(0, 3, 0))
	f.site = newSite(t, func(c *lms.Config) {
		c.Tool = "https://" + f.public
		c.Platform.Client = &http.Client{Transport: f.authority.transport(), Timeout: 5 * time.Second}
	})
	redis := "--redis=redis://" + redistest.Start(t).Address
	for range 2 {
		server := f.beside()
		f.servers = append(f.servers, server)
		f.nodes = append(f.nodes, server.process(redis, "--trusted-proxies=127.0.0.1/32,::1/128"))
	}
	return f
}

// run starts the proxy and waits until it answers.
func (f *front) run(name string, args ...string) {
	f.Helper()
	log := &output{}
	cmd := exec.Command(program(f.T, name), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "HOME="+f.dir, "XDG_DATA_HOME="+f.dir, "XDG_CONFIG_HOME="+f.dir)
	f.ok(cmd.Start())
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	f.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-done
		if f.Failed() {
			f.Logf("%s:\n%s", name, log)
		}
	})
	hc := &http.Client{Transport: f.authority.transport(), Timeout: 5 * time.Second}
	testutil.Until(f.T, name+" to pass requests on", func() bool {
		select {
		case <-done:
			f.Fatalf("%s ended:\n%s", name, log)
		default:
		}
		req, err := http.NewRequestWithContext(f.Context(), http.MethodGet, f.tool+"/api/v1/about", http.NoBody)
		f.ok(err)
		res, err := hc.Do(req)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

func (f *front) nginx(more ...string) {
	f.Helper()
	site := ofDeploy(f.T, "nginx.conf", append([]string{
		"listen 443 ssl;", "listen 127.0.0.1:" + portOf(f.public) + " ssl;", "listen [::]:443 ssl;", "",
		"listen 80;", "listen 127.0.0.1:" + portOf(freeAddress(f.T)) + ";", "listen [::]:80;", "",
		"vigil.example.edu;", "localhost;",
		"/etc/letsencrypt/live/vigil.example.edu/fullchain.pem", f.cert, "/etc/letsencrypt/live/vigil.example.edu/privkey.pem", f.key,
		"server 127.0.0.1:8080 ", "server " + f.servers[0].listen + " ", "# server 10.0.0.12:8080 ", "server " + f.servers[1].listen + " ",
	}, more...)...)
	dir := f.TempDir()
	for name, text := range map[string]string{"vigil.conf": site, "nginx.conf": `
daemon off; master_process off; pid ` + dir + `/pid; error_log stderr;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path ` + dir + `/body; proxy_temp_path ` + dir + `/proxy; fastcgi_temp_path ` + dir + `/f; uwsgi_temp_path ` + dir + `/u; scgi_temp_path ` + dir + `/s;
  include ` + dir + `/vigil.conf;
}`} {
		f.ok(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	f.run("nginx", "-c", dir+"/nginx.conf", "-e", "stderr")
}

func (f *front) caddy() {
	f.Helper()
	text := ofDeploy(f.T, "Caddyfile",
		"vigil.example.edu {", "https://"+f.public+" {\n\tbind 127.0.0.1\n\ttls "+f.cert+" "+f.key,
		"127.0.0.1:8080 {", f.servers[0].listen+" {", "# to 10.0.0.12:8080 ", "to "+f.servers[1].listen+" ")
	path := filepath.Join(f.TempDir(), "Caddyfile")
	f.ok(os.WriteFile(path, []byte("{\n\tadmin off\n\tauto_https disable_redirects\n}\n"+text), 0o600))
	f.run("caddy", "run", "--adapter", "caddyfile", "--config", path)
}

// client reaches the proxy.
func (f *front) client() *http.Client {
	return &http.Client{Transport: f.authority.transport(), Timeout: 30 * time.Second}
}

// TestTheProxiesOfDeploy has an exam through nginx and Caddy as deploy has them: TLS, a
// port of its own, two servers, nothing that would keep a person at one of them.
func TestTheProxiesOfDeploy(t *testing.T) {
	for name, start := range map[string]func(f *front){"nginx": func(f *front) { f.nginx() }, "caddy": (*front).caddy} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program(t, name)
			f := newFront(t)
			start(f)
			f.exam()
		})
	}
}

func (f *front) exam() {
	var students []*client.Student
	for _, user := range f.lms.NewStudents(6) {
		seat, err := takeSeat(f.Context(), f.tool, f.lms, user.ID, f.client())
		f.ok(err)
		students = append(students, f.connect(seat))
	}
	b := ltitest.NewBrowser(f.authority.transport())
	p := f.lms.Platform()
	b.SignIn(p, instructor)
	page, err := b.Open(f.Context(), p.Begin(ltitest.Launch{
		Message: ltitest.ResourceLink, ClientID: p.Tools()[0].ClientID, UserID: instructor, LinkID: lms.LinkID,
	}))
	f.ok(err)
	w := watch(f.T, f.tool, b, page, func(c *client.Config) { c.HTTPClient = f.client() })
	testutil.Until(f.T, "all students on the dashboard", func() bool {
		for _, st := range students {
			if w.Connection(st.Welcome().Session) != vigil.ConnOnline {
				return false
			}
		}
		return true
	})
	for i, st := range students {
		st.Signal(vigil.KindCopy, 0, length(i))
		f.ok(st.Settled(f.Context()))
	}

	// The doctor holds a socket that is quiet for longer than Vigil's ever are: 24 s.
	code, out := f.doctor(f.authority)
	if code != 0 || strings.Count(out, "ok  ") != 10 || !said(out, "ok", "proxy", "servers met: 2") || !said(out, "ok", "timeouts", "24s") {
		f.Errorf("got code %d, want 0, ten times ok, both servers met, 24 s of quiet:\n%s", code, out)
	}
	for i, st := range students {
		if n := st.Connects(); n != 1 {
			f.Errorf("student %d: got %d connections, want one that lasts", i, n)
		}
	}

	// A server dies. Everybody is back through the proxy, on the other one.
	f.nodes[0].kill()
	for i, st := range students {
		st.Signal(vigil.KindCopy, 0, length(i))
	}
	for _, st := range students {
		f.ok(st.Settled(f.Context()))
	}
	testutil.Until(f.T, "all students online on the dashboard again, with both signals", func() bool {
		for _, st := range students {
			row := w.Row(st.Welcome().Session)
			if row.Conn == nil || row.Conn.Conn != vigil.ConnOnline || row.Tally == nil || row.Tally.Signals < 2 {
				return false
			}
		}
		return true
	})
}

// TestTheDoctorSeesWhatNginxWasNotTold takes lines out of deploy/nginx.conf.
func TestTheDoctorSeesWhatNginxWasNotTold(t *testing.T) {
	program(t, "nginx")
	for _, row := range []struct {
		name, line, instead, check, says string
	}{
		{"HTTP/1.0", "proxy_http_version 1.1; ", "", "proxy", "proxy_http_version 1.1"},
		{"no Upgrade", "proxy_set_header Upgrade $http_upgrade;", "", "websocket", "pass Upgrade"},
		{"a short timeout", "proxy_read_timeout 90s;", "proxy_read_timeout 5s;", "timeouts", "was quiet for 5"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			f.nginx(row.line, row.instead)
			code, out := f.doctor(f.authority)
			if code != 1 || !said(out, "FAIL", row.check, row.says) {
				t.Errorf("got code %d, want 1 and %s failing with %q:\n%s", code, row.check, row.says, out)
			}
		})
	}
}
