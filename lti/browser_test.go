//go:build unix

package lti_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vigil"
	"vigil/lti"
)

// lmsPage is a platform's page that frames the tool and keeps data for it, as the client
// side of LTI's platform storage asks.
const lmsPage = `<!doctype html><title>LMS</title><script>
const kept = {};
addEventListener("message", (e) => {
  if (e.origin !== %[1]q) return;
  const d = e.data;
  if (d.subject === "lti.put_data") { kept[d.key] = d.value; }
  else if (d.subject !== "lti.get_data") return;
  e.source.postMessage({subject: d.subject + ".response", message_id: d.message_id, key: d.key, value: kept[d.key]}, e.origin);
});
</script><iframe src=%[2]q></iframe>`

// The pages of this package run their scripts in a real browser, which keeps no cookie of
// ours in a frame, or does not send it with another site's post.
func TestLaunchesWithoutCookiesInARealBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium on this machine")
	}
	for _, row := range []struct {
		name  string
		frame bool
		strip func(*http.Request) bool // whether the browser's cookies are taken off
	}{
		{"in a frame, by the platform's storage", true, func(*http.Request) bool { return true }},
		{"in a window, posted again", false, func(r *http.Request) bool { return r.Header.Get("Sec-Fetch-Site") == "cross-site" }},
		{"in a frame, with the partitioned cookie", true, func(*http.Request) bool { return false }},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			mux := http.NewServeMux()
			server := httptest.NewServer(mux)
			defer server.Close()
			public := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
			refused := make(chan error, 10)
			tool, err := lti.New(lti.Config{
				PublicURL: public, Store: g.store, Sealer: noSealer{}, Now: g.clock.now, Log: slog.New(slog.DiscardHandler),
				OnError: func(w http.ResponseWriter, _ *http.Request, e *lti.LaunchError) {
					select {
					case refused <- e:
					default:
					}
					w.WriteHeader(e.Status)
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer tool.Close()
			if err := g.store.CreatePlatform(t.Context(), vigil.Platform{ID: "x", Issuer: "https://unused.example", ClientID: "x"}); err != nil {
				t.Fatal(err)
			}
			var posts atomic.Int32
			launched := make(chan lti.Launch, 1)
			mux.HandleFunc("/lti/login", tool.ServeLogin)
			mux.HandleFunc("/lti/launch", func(w http.ResponseWriter, r *http.Request) {
				posts.Add(1)
				if row.strip(r) {
					r.Header.Del("Cookie")
				}
				tool.ServeLaunch(w, r, func(_ http.ResponseWriter, _ *http.Request, l lti.Launch) { launched <- l })
			})
			q := g.loginParams()
			q.Set("target_link_uri", public+"/lti/launch")
			if row.frame {
				q.Set("lti_storage_target", "_parent")
			}
			g.mux.HandleFunc("GET /course", func(w http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprintf(w, lmsPage, public, public+"/lti/login?"+q.Encode())
			})
			g.mux.HandleFunc("GET /auth.php", func(w http.ResponseWriter, r *http.Request) {
				c := g.claims(lti.MessageResourceLink, login{nonce: r.URL.Query().Get("nonce")})
				c[claimLTI+"target_link_uri"] = public + "/lti/launch"
				_, _ = fmt.Fprintf(w, `<!doctype html><form method="post" action=%q><input type="hidden" name="state" value=%q><input type="hidden" name="id_token" value=%q></form><script>document.forms[0].submit()</script>`,
					r.URL.Query().Get("redirect_uri"), r.URL.Query().Get("state"), good().sign(c))
			})
			open := g.server.URL + "/course"
			if !row.frame {
				open = public + "/lti/login?" + q.Encode()
			}
			profile, err := os.MkdirTemp("", "vigil-lti-browser") //nolint:usetesting // t.TempDir fails the test when a helper still writes
			if err != nil {
				t.Fatal(err)
			}
			// A helper on its way out may still write: what is left then is only a few files.
			defer func() { _ = os.RemoveAll(profile) }()
			browser := exec.Command(chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
				"--disable-background-networking", "--remote-debugging-port=0", "--user-data-dir="+profile, open)
			browser.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its helpers end with it
			if err := browser.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = syscall.Kill(-browser.Process.Pid, syscall.SIGKILL)
				_ = browser.Wait()
			}()
			select {
			case l := <-launched:
				if l.Subject != "u1" {
					t.Errorf("got %+v", l)
				}
			case err := <-refused:
				t.Fatalf("refused after %d posts: %v", posts.Load(), err)
			case <-time.After(30 * time.Second):
				t.Fatalf("no launch came; %d posts did", posts.Load())
			}
			want := int32(2)
			if strings.Contains(row.name, "partitioned") {
				want = 1
			}
			if got := posts.Load(); got != want {
				t.Errorf("got %d posts, want %d", got, want)
			}
		})
	}
}
