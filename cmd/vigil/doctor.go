package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"vigil"
	"vigil/lti"
	"vigil/realtime/protocol"
	"vigil/realtime/relay/redisrelay"
	"vigil/storage"
)

// doctorCmd looks at what a server needs, from where it is run, with the server's own
// settings. It changes nothing but a stream of its own in Redis.
type doctorCmd struct {
	storeSettings  `embed:""`
	serverSettings `embed:""`
	logSettings    `embed:""`
}

// Bounds of the checks.
const (
	doctorTime = 15 * time.Second // for one check, beside what a connection stays quiet
	clockApart = 5 * time.Second  // that clocks may differ
	doctorAsks = 6                // requests through the load balancer, to meet more than one server
	doctorRead = 1 << 20
)

// finding is what one check found; advice says what to do where it failed. Warnings say what
// is not at its best though nothing fails.
type finding struct {
	what     string
	err      error
	advice   string
	warnings []string
}

// Run prints what it found and fails if anything must be done.
func (c doctorCmd) Run(ctx context.Context, s *streams) error {
	if err := c.serverSettings.Validate(); err != nil {
		return err
	}
	failed := 0
	for _, check := range []struct {
		name string
		do   func(context.Context) finding
	}{
		{"store", c.checkStore},
		{"keys", c.checkKeys},
		{"redis", c.checkRedis},
		{"certificate", c.checkCertificate},
		{"public url", c.checkPublic},
		{"proxy", c.checkProxy},
		{"clock", c.checkClock},
		{"websocket", c.checkSocket},
		{"timeouts", c.checkQuiet},
		{"plugins", c.checkPlugins},
	} {
		checkCtx, cancel := context.WithTimeout(ctx, doctorTime+quietTime(c.liveness()))
		f := check.do(checkCtx)
		cancel()
		if f.err == nil {
			for _, w := range f.warnings {
				if err := s.sayf("warn  %-11s %s\n", check.name, w); err != nil {
					return err
				}
			}
			if len(f.warnings) > 0 {
				continue
			}
			if err := s.sayf("ok    %-11s %s\n", check.name, f.what); err != nil {
				return err
			}
			continue
		}
		failed++
		if err := s.sayf("FAIL  %-11s %s\n      %-11s What to do: %s\n", check.name, forPeople(f.err), "", f.advice); err != nil {
			return err
		}
	}
	if failed > 0 {
		return vigil.Errorf(vigil.CodeUnavailable, "%d of the checks failed.", failed)
	}
	return nil
}

// store opens the store as it is.
func (c doctorCmd) store(ctx context.Context) (storage.Store, error) {
	return c.open(ctx, slog.New(slog.DiscardHandler))
}

func (c doctorCmd) checkStore(ctx context.Context) finding {
	store, err := c.store(ctx)
	if err != nil {
		return finding{err: err, advice: "see that the store can be reached from here and that `vigil migrate` has run, with the credentials that the server has."}
	}
	defer store.Close()
	if err := store.Ping(ctx); err != nil {
		return finding{err: err, advice: "see that the store can be written to: room on the disk, and permissions."}
	}
	return finding{what: "it answers and can be written to"}
}

func (c doctorCmd) checkKeys(ctx context.Context) finding {
	f, _ := c.keys(ctx)
	return f
}

// keys reads our own keys; kids are those of the LTI keys.
func (c doctorCmd) keys(ctx context.Context) (f finding, kids []string) {
	store, err := c.store(ctx)
	if err != nil {
		return finding{err: err, advice: "the store comes first."}, nil
	}
	defer store.Close()
	for _, use := range vigil.KeyUses {
		list, err := store.Keys(ctx, use)
		if err != nil {
			return finding{err: err, advice: "the store comes first."}, nil
		}
		if len(list) == 0 {
			return finding{err: errors.New("there are no " + string(use) + " keys yet"), advice: "start `vigil serve` once with these settings; it makes them."}, nil
		}
	}
	sealer, err := c.sealer(ctx, store)
	if err != nil {
		return finding{err: err, advice: "give the same --key-file, or VIGIL_KEY_SECRET, that the server has."}, nil
	}
	set, err := lti.NewKeys(store, sealer, lti.KeyOptions{}).Set(ctx, vigil.KeyLTI)
	if err == nil {
		kids, err = kidsOf(set)
	}
	if err != nil {
		return finding{err: err, advice: "the secret is not the one that these keys were sealed with: give the one that the server has."}, nil
	}
	return finding{what: "they open with the secret given"}, kids
}

// kidsOf lists the ids in a key set.
func kidsOf(set []byte) ([]string, error) {
	var s struct {
		Keys []struct {
			Kid string `json:"kid"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(set, &s); err != nil {
		return nil, err
	}
	var out []string
	for _, k := range s.Keys {
		out = append(out, k.Kid)
	}
	return out, nil
}

func (c doctorCmd) checkRedis(ctx context.Context) finding {
	if c.Redis == "" {
		return finding{what: "none is set: this is the only server"}
	}
	at, err := redisrelay.Check(ctx, c.Redis)
	if err != nil {
		return finding{err: err, advice: "see that address, password and TLS are right, that the server is the master, and that the user may do what docs/running.md lists."}
	}
	if d := time.Since(at).Abs(); d > clockApart {
		return finding{err: fmt.Errorf("its clock and this machine's differ by %s", vigil.Span(d)), advice: "let both machines take the time from the network (chrony, systemd-timesyncd)."}
	}
	return finding{what: "streams can be written, read and trimmed"}
}

func (c doctorCmd) checkPublic(ctx context.Context) finding {
	_, ours := c.keys(ctx)
	for range doctorAsks {
		res, err := c.ask(ctx, "/lti/keys", http.Header{})
		if err != nil {
			return unreachable(err)
		}
		theirs, err := kidsOf(res.body)
		if res.status != http.StatusOK || err != nil || len(theirs) == 0 {
			return finding{
				err:    fmt.Errorf("%s answers %d, and not with Vigil's keys", c.PublicURL, res.status),
				advice: "let the load balancer send everything under this URL to the servers, with the Host header as it came.",
			}
		}
		if len(ours) > 0 && !sharesOne(ours, theirs) {
			return finding{err: errors.New("the server there has other keys than this store"), advice: "let all servers have the same --store, and this command, too."}
		}
	}
	return finding{what: "it leads to servers on this store"}
}

func sharesOne(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}

// checkSocket asks for a socket with a token that is made up. That Vigil refuses the
// token shows that the request for an upgrade came through.
func (c doctorCmd) checkSocket(ctx context.Context) finding {
	for range doctorAsks {
		res, err := c.ask(ctx, "/socket", http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-WebSocket-Version": {"13"}, "Sec-WebSocket-Key": {"dmlnaWwgZG9jdG9yIGtleQ=="},
			"Origin": {vigil.Origin(c.PublicURL)}, "Sec-WebSocket-Protocol": {protocol.Subprotocol + ", " + protocol.TokenSubprotocol + "doctor.doctor.doctor"},
		})
		if err != nil {
			return finding{err: err, advice: "the public URL comes first."}
		}
		var p protocol.Problem
		switch {
		case res.status == http.StatusUpgradeRequired:
			return finding{
				err:    errors.New("the request for a WebSocket arrives without its Upgrade header"),
				advice: "let the proxy pass Upgrade and Connection: deploy/nginx.conf has the lines, and Caddy does so by itself.",
			}
		case res.status == http.StatusUnauthorized && json.Unmarshal(res.body, &p) == nil && p.Duty != "":
		case res.status == http.StatusForbidden && json.Unmarshal(res.body, &p) == nil && p.Duty != "":
			return finding{err: errors.New("Vigil refuses the page's own origin: " + p.Detail), advice: "let every server have this --public-url, and the load balancer pass the Origin header."}
		default:
			return finding{
				err:    fmt.Errorf("the request for a WebSocket is answered with %d, and not by Vigil", res.status),
				advice: "let the load balancer send /socket to the servers, and pass Sec-WebSocket-Protocol and Origin.",
			}
		}
	}
	return finding{what: "requests for one reach the servers with all their headers"}
}

// checkPlugins compares the version of the assertion that each platform's plugin was last
// seen to speak with this program's (docs/assertion.md). Either may be the older one:
// attempts go on, and what is lost is said in the warning.
func (c doctorCmd) checkPlugins(ctx context.Context) finding {
	store, err := c.store(ctx)
	if err != nil {
		return finding{err: err, advice: "the store comes first."}
	}
	defer store.Close()
	list, err := store.Platforms(ctx)
	if err != nil {
		return finding{err: err, advice: "the store comes first."}
	}
	var f finding
	seen := 0
	for _, p := range list {
		if p.State == vigil.PlatformDisabled || p.Plugin == 0 {
			continue
		}
		seen++
		name := p.Name
		if name == "" {
			name = p.Issuer
		}
		switch {
		case p.Plugin < vigil.PluginVersion:
			lacks := "whoever teaches sees all students and may do everything" // what came with version 3
			if p.Plugin < 2 {
				lacks += ", page turns do not bring the attempt's end, and proctors are not told what the platform did not do"
			}
			f.warnings = append(f.warnings, fmt.Sprintf("%s (%s): its Vigil plugin speaks version %d, this server version %d. Update the plugin there: until then %s.",
				name, p.ID, p.Plugin, vigil.PluginVersion, lacks))
		case p.Plugin > vigil.PluginVersion:
			f.warnings = append(f.warnings, fmt.Sprintf("%s (%s): its Vigil plugin speaks version %d, this server only version %d. Update Vigil here.",
				name, p.ID, p.Plugin, vigil.PluginVersion))
		}
	}
	if f.what = fmt.Sprintf("%d platforms, all of version %d", seen, vigil.PluginVersion); seen == 0 {
		f.what = "no platform with Vigil's plugin has launched yet"
	}
	return f
}
