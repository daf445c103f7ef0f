package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vigil"
	"vigil/internal/testutil"
	"vigil/lti/ltitest"
	"vigil/realtime/client"
)

// demo is the demo as `make demo` runs it, on free ports.
type demo struct {
	*testing.T
	dir, tool, lms string
}

func newDemo(t *testing.T) *demo {
	t.Helper()
	return &demo{T: t, dir: filepath.Join(t.TempDir(), "demo"), tool: portOf(freeAddress(t)), lms: portOf(freeAddress(t))}
}

func (d *demo) args(more ...string) []string {
	return append([]string{"demo", "--dir", d.dir, "--port", d.tool, "--lms-port", d.lms}, more...)
}

var links = regexp.MustCompile(`https?://\S+`)

// start runs it until its links are printed; the function returned ends it.
func (d *demo) start(more ...string) (stop func()) {
	d.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var out, errs output
	done := make(chan int, 1)
	go func() { done <- run(ctx, d.args(more...), nil, &out, &errs) }()
	ended := false
	stop = func() {
		d.Helper()
		if ended {
			return
		}
		ended = true
		cancel()
		if code := <-done; code != 0 {
			d.Errorf("the demo: got exit code %d, want 0:\n%s", code, errs.String())
		}
	}
	d.Cleanup(stop)
	testutil.Until(d.T, "the demo's links", func() bool { return len(done) > 0 || strings.Contains(out.String(), "Ctrl+C") })
	want := []string{"http://127.0.0.1:" + d.lms + "/", "http://localhost:" + d.tool + "/"}
	if got := links.FindAllString(out.String(), -1); !slices.Equal(got, want) {
		d.Fatalf("links: got %v, want %v\n%s\n%s", got, want, out.String(), errs.String())
	}
	for _, link := range want {
		if status, _ := get(d.T, link); status != http.StatusOK {
			d.Errorf("%s: got %d, want 200", link, status)
		}
	}
	return stop
}

// open goes to a page of the demo LMS, and presses its buttons.
func (d *demo) press(b *ltitest.Browser, page, form string, values url.Values) *ltitest.Page {
	d.Helper()
	p, err := b.Open(d.Context(), "http://127.0.0.1:"+d.lms+page)
	if err != nil {
		d.Fatal(err)
	}
	f, ok := p.Form(form)
	if !ok {
		d.Fatalf("got no button %s in %s (%d), want one", form, page, p.Status)
	}
	if p, err = b.Submit(d.Context(), f, values); err != nil {
		d.Fatal(err)
	}
	return p
}

// dashboard opens the live dashboard by the instructor's button.
func (d *demo) dashboard(b *ltitest.Browser) *ltitest.Page {
	d.Helper()
	d.press(b, "/", "/signin", url.Values{"user": {instructor}})
	return d.press(b, "/course", "/proctor", nil)
}

func online(p *client.Proctor) (ids []string) {
	for id, row := range p.Rows() {
		if row.Conn != nil && row.Conn.Conn == vigil.ConnOnline {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// TestTheDemoFillsRestartsAndForgets presses the demo's buttons, restarts it twice and
// then lets it forget.
func TestTheDemoFillsRestartsAndForgets(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	d := newDemo(t)
	stop := d.start()
	b := ltitest.NewBrowser(nil)
	page := d.dashboard(b)
	tool := "http://localhost:" + d.tool
	p := watch(t, tool, b, page)
	if rows := p.Rows(); len(rows) != 0 {
		t.Errorf("got %d rows at the beginning, want none", len(rows))
	}
	d.press(b, "/", "/simulate", nil)
	var ten []string
	testutil.Until(t, "ten students online", func() bool { ten = online(p); return len(ten) == 10 })
	names := map[string]bool{}
	for _, row := range p.Rows() {
		names[row.Who.Name] = true
	}
	if len(names) != 10 {
		t.Errorf("got the names %v, want ten", slices.Collect(maps.Keys(names)))
	}
	for range 2 {
		p.Close()
		stop()
		if status, _ := get(t, tool); status != 0 {
			t.Errorf("got %d after the end, want nobody there", status)
		}
		stop = d.start()
		p = watch(t, tool, b, page) // the browser's visit goes on, without another launch
		testutil.Until(t, "the ten to come back by themselves", func() bool { return slices.Equal(online(p), ten) })
		if rows := p.Rows(); len(rows) != 10 {
			t.Errorf("got %d rows after a restart, want 10", len(rows))
		}
	}
	p.Close()
	stop()

	if err := os.WriteFile(filepath.Join(d.dir, "mine.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.start("--fresh")
	b = ltitest.NewBrowser(nil)
	again := d.dashboard(b)
	if again.URL.Path == page.URL.Path {
		t.Errorf("got the old exam at %s, want a new one", again.URL.Path)
	}
	p = watch(t, tool, b, again)
	if rows := p.Rows(); len(rows) != 0 {
		t.Errorf("got %d rows after --fresh, want none", len(rows))
	}
	if _, err := os.Stat(filepath.Join(d.dir, "mine.txt")); err != nil {
		t.Error("--fresh removed a file that is not the demo's:", err)
	}
}

func TestTheDemoSaysWhyItCannotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	port := portOf(taken.Addr().String())
	for _, row := range []struct {
		name    string
		prepare func(d *demo) error
		code    int
		want    []string
	}{
		{"the tool's port is taken", func(d *demo) error { d.tool = port; return nil }, 2, []string{"listen", port}},
		{"the LMS's port is taken", func(d *demo) error { d.lms = port; return nil }, 2, []string{"lms-port", port}},
		{"the LMS's state is broken", func(d *demo) error {
			if err := os.MkdirAll(d.dir, 0o700); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(d.dir, "lms.json"), []byte("{"), 0o600)
		}, 1, []string{"lms.json", "afresh"}},
		{"the store is broken", func(d *demo) error {
			if err := os.MkdirAll(d.dir, 0o700); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(d.dir, "vigil.db"), []byte(strings.Repeat("junk", 2000)), 0o600)
		}, 1, []string{"schema"}},
		{"what is in the way cannot be removed", func(d *demo) error {
			return os.MkdirAll(filepath.Join(d.dir, "vigil.db", "full"), 0o700)
		}, 2, []string{"dir", "cannot be removed"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := newDemo(t)
			if err := row.prepare(d); err != nil {
				t.Fatal(err)
			}
			args := d.args()
			if row.code == 2 {
				args = d.args("--fresh")
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			code, out, errs := command(ctx, nil, args...)
			if code != row.code || out != "" {
				t.Errorf("got exit code %d and %q, want %d and no links: %s", code, out, row.code, errs)
			}
			for _, word := range row.want {
				if !strings.Contains(errs, word) {
					t.Errorf("got %q, want %q in it", errs, word)
				}
			}
		})
	}
}

func TestTheDemoHoldsABoundedCrowd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := &crowd{ctx: t.Context(), tool: s.tool, lms: s.lms}
	s.lms.NewStudents(maxCrowd)
	if err := c.add(t.Context(), 1); vigil.CodeOf(err) != vigil.CodeTooMany {
		t.Errorf("got %v, want too_many", err)
	}
	if got, want := fmt.Sprint(len(s.lms.Platform().Users())), fmt.Sprint(len(ltitest.DefaultUsers())+maxCrowd); got != want {
		t.Errorf("got %s people, want %s: nobody was added", got, want)
	}
}
