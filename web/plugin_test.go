package web_test

import (
	"net/http"
	"testing"

	"vigil/lti/ltitest"
)

func TestLaunchesRecordThePluginsVersion(t *testing.T) {
	r := newRig(t)
	for _, row := range []struct {
		plugin, want int
	}{{-1, 0}, {1, 1}, {2, 2}, {3, 3}} {
		cfg := pluginQuiz(`{}`)
		if cfg.Plugin = row.plugin; row.plugin < 0 {
			cfg.Links[0].Settings = ""
		}
		l := r.lms(cfg)
		version := func() (plugin int, changes int64) {
			p, err := r.store.Platform(t.Context(), l.platform.ID)
			r.ok(err)
			return p.Plugin, p.Version
		}
		_, before := version()
		for range 2 { // the second changes nothing
			l.person(student).attempt(1)
		}
		got, after := version()
		r.want("version", got, row.want)
		if changes := after - before; changes != min(1, int64(row.want)) {
			t.Errorf("plugin %d: got %d changes of the platform, want one at most", row.plugin, changes)
		}
	}
	// A proctor's launch says it, too, and a store that fails stops none.
	l := r.lms(ltitest.Config{})
	r.store.writes.Store(true)
	launch := ltitest.Launch{Message: ltitest.ResourceLink, LinkID: quiz, Custom: map[string]string{"vigil_settings": `{"vigil":2}`}}
	r.status(l.person(instructor).launch(launch), http.StatusOK)
	r.store.writes.Store(false)
	r.status(l.person(instructor).launch(launch), http.StatusOK)
	p, err := r.store.Platform(t.Context(), l.platform.ID)
	r.ok(err)
	r.want("version", p.Plugin, 2)
}
