package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"vigil"
	"vigil/lti"
	"vigil/lti/ltitest"
	"vigil/lti/ltitest/lms"
	"vigil/storage"
)

// demoCmd runs the tool and a small LMS on this machine. They are on different hosts
// (localhost and 127.0.0.1), so that cookies meet what they meet in real life.
type demoCmd struct {
	logSettings `embed:""`
	Dir         string        `help:"Folder that keeps the demo's state." default:"demo-data" placeholder:"PATH"`
	Fresh       bool          `help:"Forget what an earlier demo left."`
	Port        int           `help:"Port of the tool, on localhost." default:"8080"`
	LMSPort     int           `name:"lms-port" help:"Port of the demo LMS, on 127.0.0.1." default:"8081"`
	AdminListen string        `help:"Address for health and metrics, or off." default:"off" placeholder:"HOST:PORT"`
	PingEvery   time.Duration `help:"Time between two pings to a student." default:"10s"`
	AliveEvery  time.Duration `help:"Time between two questions to a student's monitor for its totals." default:"1m"`
	DemoStore   string        `help:"Keep the tool's state there and not in the folder: KIND:PLACE as for serve." placeholder:"KIND:PLACE"`
	KeySecret   string        `help:"The secret of --demo-store, as for serve." placeholder:"BASE64"`
}

// demoFiles are what the demo keeps in its folder; --fresh removes these and nothing else.
var demoFiles = []string{"vigil.db", "vigil.db-wal", "vigil.db-shm", "vigil.db.turn", "vigil.db.key", "lms.json"}

// Run runs the demo until it is interrupted.
func (c demoCmd) Run(ctx context.Context, s *streams) (err error) {
	for _, p := range []struct {
		field string
		port  int
	}{{"port", c.Port}, {"lms-port", c.LMSPort}} {
		if p.port < 1 || p.port > 65535 {
			return vigil.Invalid(p.field, "A port lies between 1 and 65535.")
		}
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return &vigil.Error{Code: vigil.CodeInvalid, Field: "dir", Message: "The demo's folder cannot be made.", Err: err}
	}
	keep := storeSettings{Store: "sqlite:" + filepath.Join(c.Dir, "vigil.db")}
	if c.DemoStore != "" {
		keep = storeSettings{Store: c.DemoStore, KeySecret: c.KeySecret}
	}
	secret, err := keep.secret(ctx)
	if err == nil {
		err = keep.creatable(secret)
	}
	if err != nil {
		return err
	}
	_, tables, _ := keep.dynamoPlace() // a bad place is told when it is opened
	if !tables {
		unlock, err := keep.claimFile(false)
		if err != nil {
			return err
		}
		defer unlock()
	}
	if c.Fresh {
		for _, name := range demoFiles {
			if err := os.Remove(filepath.Join(c.Dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return &vigil.Error{Code: vigil.CodeInvalid, Field: "dir", Message: "What an earlier demo left cannot be removed.", Err: err}
			}
		}
	}
	log, stop := c.logger(s.err)
	defer stop()
	usual := vigil.DefaultLiveness()
	settings := serverSettings{
		PublicURL: fmt.Sprintf("http://localhost:%d", c.Port), Listen: fmt.Sprintf("127.0.0.1:%d", c.Port), AdminListen: c.AdminListen,
		PingEvery: c.PingEvery, PongWait: min(4*time.Second, c.PingEvery/2), NavigateGrace: usual.NavigateGrace, DropGrace: usual.DropGrace,
		LoadLimit: usual.LoadLimit, ReturnGrace: usual.ReturnGrace, DrainTime: time.Second, AliveEvery: c.AliveEvery,
	}
	if err := settings.Validate(); err != nil {
		return err
	}
	store, err := keep.create(ctx, s.tell, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	sealer, err := secret.open(ctx, store)
	if err != nil {
		return err
	}
	a, err := newApp(ctx, settings, store, sealer, log, appOptions{keepOtherUsersSignedIn: true, oneHost: true, removes: tables})
	if err != nil {
		return err
	}
	return c.serve(ctx, s, a, store, log)
}

// serve runs the LMS beside the tool.
func (c demoCmd) serve(ctx context.Context, s *streams, a *app, store storage.Store, log *slog.Logger) error {
	issuer := fmt.Sprintf("http://127.0.0.1:%d", c.LMSPort)
	tool := a.settings.PublicURL
	crowdCtx, disperse := context.WithCancel(ctx)
	crowd := &crowd{ctx: crowdCtx, tool: tool, log: log}
	demo, err := lms.New(lms.Config{
		Platform: ltitest.Config{Issuer: issuer}, Tool: tool,
		StateFile: filepath.Join(c.Dir, "lms.json"), AddSimulated: crowd.add, Log: log,
	})
	if err != nil {
		disperse()
		a.close()
		return err
	}
	crowd.lms = demo
	defer demo.Close()
	defer crowd.wait()
	defer disperse()
	if err := introduce(ctx, demo.Platform(), a.tool, store); err != nil {
		a.close()
		return err
	}
	listener, err := listen(ctx, "lms-port", fmt.Sprintf("127.0.0.1:%d", c.LMSPort))
	if err != nil {
		a.close()
		return err
	}
	server := &http.Server{Handler: demo, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var serveErr error
	wg.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			serveErr = err
			cancel()
		}
	})
	err = a.run(ctx, func(net.Addr, net.Addr) {
		fmt.Fprintf(s.out, `
Vigil's demo is running on this machine.

  Demo LMS:  %s/
             Sign in as a student and press "Attempt quiz", or as the instructor and press "Live proctoring".
  The tool:  %s/

Use two browser windows: one for a student, one for the instructor. Ctrl+C stops the demo;
what happened is kept in %s (start with --fresh to forget it).
`, issuer, tool, c.Dir)
		crowd.work.Go(func() { crowd.rejoin(crowdCtx) })
	})
	shutdown, stop := context.WithTimeout(context.WithoutCancel(ctx), shutdownWait)
	defer stop()
	if closeErr := server.Shutdown(shutdown); closeErr != nil {
		_ = server.Close()
	}
	wg.Wait()
	return errors.Join(err, serveErr)
}

// introduce registers the tool with the demo LMS, and the LMS with the tool, where an
// earlier demo has not.
func introduce(ctx context.Context, p *ltitest.Platform, tool *lti.Tool, store storage.Store) error {
	values := tool.Values()
	if len(p.Tools()) == 0 {
		p.Register(ltitest.Tool{
			Name: "Vigil", LoginURL: values.LoginURL, RedirectURIs: []string{values.LaunchURL}, TargetLinkURI: values.LaunchURL, KeySetURL: values.KeySetURL,
		})
	}
	t := p.Tools()[0]
	e := p.Endpoints(t.ClientID)
	_, err := store.PlatformByClient(ctx, e.Issuer, t.ClientID)
	if err == nil || vigil.CodeOf(err) != vigil.CodeNotFound {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	platform := vigil.Platform{
		ID: id.String(), Issuer: e.Issuer, ClientID: t.ClientID, Name: "Demo LMS", Family: "moodle",
		AuthorizationEndpoint: e.Authorization, TokenEndpoint: e.Token, TokenAudience: e.TokenAudience, KeySetURL: e.KeySet,
		Private: true, State: vigil.PlatformActive, Created: now, Updated: now, Version: 1,
	}
	if err := lti.CheckPlatform(platform); err != nil {
		return err
	}
	if err := store.CreatePlatform(ctx, platform); err != nil {
		return err
	}
	return store.SaveDeployment(ctx, vigil.Deployment{PlatformID: platform.ID, ID: t.DeploymentID, State: vigil.DeploymentActive, Created: now})
}
