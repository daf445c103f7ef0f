package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"strings"
	"time"

	"vigil"
)

// pingTime bounds how long the readiness check waits for the store.
const pingTime = 2 * time.Second

// admin serves health, metrics and profiles. It has no authentication: keep its address private.
func (a *app) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pingTime)
		defer cancel()
		if why := a.notReady(ctx); why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.Handle("GET /metrics", a.metrics.Handler())
	mux.HandleFunc("GET /debug/pprof/", pprof.Index) // and by name: heap, goroutine, allocs, mutex
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	return byAddress(mux, a.settings.AdminHosts)
}

// byAddress refuses requests whose Host is a name that could be anybody's: a web page that
// somebody on this machine or network looks at could have its own name lead here (DNS rebinding), and
// read the answers. An address, a name without a dot (localhost, a container's) and the names that
// the operator gave are none of those.
func byAddress(next http.Handler, names []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		_, err := netip.ParseAddr(strings.Trim(host, "[]"))
		known := slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, host) })
		if host == "" || err != nil && strings.Contains(host, ".") && !known {
			http.Error(w, "Ask by the server's address, or give this name to --admin-hosts.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// notReady says why this server should get no new connections; "" is that it should.
func (a *app) notReady(ctx context.Context) string {
	if err := a.outdated.Load(); err != nil { // before draining, which follows from it
		return forPeople(*err)
	}
	if !a.hub.Ready() {
		return "draining"
	}
	err := a.store.CheckSchema(ctx)
	if vigil.CodeOf(err) == vigil.CodeIllegal {
		return forPeople(err)
	}
	if err == nil {
		err = a.store.Ping(ctx)
	}
	switch {
	case err != nil:
		a.log.WarnContext(ctx, "not ready", "error", err)
		return "the store does not answer"
	case !a.hub.Saving():
		return "signals cannot be stored"
	}
	return ""
}
