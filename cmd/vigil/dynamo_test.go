package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"vigil/internal/testutil"
	"vigil/lti/ltitest"
	"vigil/storage/dynamo/dynamolocal"
)

// dynamoLocal is AWS's DynamoDB Local, started for the first test that wants it; TestMain
// ends it.
var dynamoLocal = sync.OnceValues(func() (*dynamolocal.Server, error) { return dynamolocal.Start(context.Background()) })

// dynamoTables are a prefix that nobody else uses, and where the service is.
func dynamoTables(t *testing.T) (prefix, region, endpoint string) {
	t.Helper()
	server, err := dynamoLocal()
	if errors.Is(err, dynamolocal.ErrMissing) && !dynamolocal.Demanded() {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	dynamoStarted.Store(server)
	return "test-" + freshID(), "eu-central-1", server.URL
}

// dynamoStarted is the service once a test has had it.
var dynamoStarted atomic.Pointer[dynamolocal.Server]

// dynamoStoreOf is a --store of tables that nobody else uses.
func dynamoStoreOf(t *testing.T) string {
	t.Helper()
	prefix, region, endpoint := dynamoTables(t)
	return "dynamodb:" + prefix + "?region=" + region + "&endpoint=" + endpoint
}

func TestCommandsWorkOnDynamoDB(t *testing.T) {
	prefix, region, endpoint := dynamoTables(t)
	store := "--store=dynamodb:" + prefix + "?region=" + region + "&endpoint=" + endpoint
	if got := must(t, "migrate", "--status", store); got != "0001_start.json: not applied yet\n" {
		t.Errorf("got status %q before the migration", got)
	}
	if got := must(t, "migrate", "--dry-run", store); !strings.Contains(got, "would create table "+prefix+"-main") || !strings.Contains(got, "would apply 0001_start.json") {
		t.Errorf("got plan %q, want the tables and the step", got)
	}
	if got := must(t, "migrate", store); !strings.Contains(got, "note: this endpoint knows no point-in-time recovery") || !strings.HasSuffix(got, upToDate+"\n") {
		t.Errorf("got %q from the migration", got)
	}
	if got := must(t, "migrate", "--dry-run", "--store=dynamodb:"+prefix, "--dynamodb-region="+region, "--dynamodb-endpoint="+endpoint); got != upToDate+"\n" {
		t.Errorf("got plan %q after the migration, want none", got)
	}
	for _, how := range []string{"--status", "status"} {
		if got := must(t, "migrate", how, store); !strings.HasPrefix(got, "0001_start.json: applied ") {
			t.Errorf("got status %q from %s after the migration", got, how)
		}
	}
	id := strings.TrimSpace(must(t, "platform", "add", store, "--private", "--issuer", "http://127.0.0.1:1", "--client-id", "c",
		"--auth-url", "http://127.0.0.1:1/auth", "--token-url", "http://127.0.0.1:1/token", "--key-set-url", "http://127.0.0.1:1/keys"))
	if got := must(t, "platform", "list", store); !strings.Contains(got, id) {
		t.Errorf("got platforms %q, want %s among them", got, id)
	}
	if code, _, errs := command(t.Context(), nil, "keys", "rotate", store, "lti"); code != 2 || !strings.Contains(errs, "VIGIL_KEY_SECRET") {
		t.Errorf("without a secret: got code %d, %q, want 2 and its name", code, errs)
	}
	secret := "VIGIL_KEY_SECRET=" + base64.StdEncoding.EncodeToString(make([]byte, keyFileSize))
	// Keys are made, and too young to be rotated.
	if code, _, errs := command(t.Context(), []string{secret}, "keys", "rotate", store, "lti"); code != 1 || !strings.Contains(errs, "rotate again in") {
		t.Errorf("with a secret: got code %d, %q, want 1 and the time to wait", code, errs)
	}
	if code, out, errs := command(t.Context(), []string{secret}, "keys", "list", store); code != 0 || strings.Count(out, "lti") < 2 {
		t.Errorf("got code %d, keys %q, %q, want two of lti", code, out, errs)
	}
	// Another prefix has tables of its own, whose keys AWS KMS seals.
	kms := newKMSStandIn(t)
	secret = "VIGIL_KEY_SECRET=kms:" + standInKey + "?endpoint=" + kms.url
	store = "--store=" + dynamoStoreOf(t)
	must(t, "migrate", store)
	if code, _, errs := command(t.Context(), []string{secret}, "keys", "rotate", store, "lti"); code != 1 || !strings.Contains(errs, "rotate again in") {
		t.Errorf("with a key of KMS: got code %d, %q, want 1 and the time to wait", code, errs)
	}
	if got := kms.sealed.Load(); got < 2 {
		t.Errorf("got %d keys sealed by KMS, want at least two", got)
	}
}

// TestFiftyLaunchesAtThreeNodesFindOneSession launches one student's first attempt fifty
// times at once. Each step of a launch meets another of three servers, which start
// together on tables that are not there yet.
func TestFiftyLaunchesAtThreeNodesFindOneSession(t *testing.T) {
	s := newSite(t)
	s.place = dynamoStoreOf(t)
	secret := "VIGIL_KEY_SECRET=" + base64.StdEncoding.EncodeToString(make([]byte, keyFileSize))
	var nodes []*url.URL
	var admins []string
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer func() { stop(); running.Wait() }()
	for range 3 {
		listen, admin := freeAddress(t), freeAddress(t)
		nodes, admins = append(nodes, &url.URL{Scheme: "http", Host: listen}), append(admins, admin)
		running.Go(func() {
			log := &output{}
			args := []string{"serve", "--store", s.store(), "--public-url", s.tool, "--listen", listen, "--admin-listen", admin, "--drain-time", "0s"}
			if code := run(ctx, args, []string{secret}, io.Discard, log); code != 0 {
				t.Errorf("a node ended with %d:\n%s", code, log)
			}
		})
	}
	for _, admin := range admins {
		testutil.Until(t, "a node to be ready", func() bool { status, _ := get(t, "http://"+admin+"/readyz"); return status == http.StatusOK })
	}
	s.register()
	front := http.Server{Addr: s.listen, ReadHeaderTimeout: headerTime, Handler: balance(t, nodes)}
	running.Go(func() {
		if err := front.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			t.Error("the load balancer stopped:", err)
		}
	})
	defer front.Close()
	testutil.Until(t, "the load balancer", func() bool { status, _ := get(t, "http://"+s.listen+"/lti/keys"); return status == http.StatusOK })

	launch, err := s.lms.Proctored(student)
	s.ok(err)
	p := s.lms.Platform()
	pages := make([]string, 50)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range pages {
		all.Go(func() {
			<-start
			client := crowdClient()
			defer client.CloseIdleConnections()
			b := ltitest.NewBrowser(client.Transport)
			b.SignIn(p, student)
			page, err := b.Open(t.Context(), p.Begin(launch))
			if err != nil {
				t.Error(err)
				return
			}
			if _, ok := page.Form("checkin-form"); !ok {
				t.Errorf("got %s (status %d), want the check-in", page.URL.Path, page.Status)
			}
			pages[i] = page.URL.Path
		})
	}
	close(start)
	all.Wait()
	exported := must(t, "export", "user", "--store", s.store(), "--kind=session", p.Issuer(), student)
	if n := strings.Count(exported, "\n"); n != 1 {
		t.Fatalf("got %d sessions, want one:\n%s", n, exported)
	}
	var session struct{ ID string }
	s.ok(json.Unmarshal([]byte(exported), &session))
	for _, path := range pages {
		if !strings.Contains(path, session.ID) {
			t.Errorf("got a launch at %s, want it at session %s", path, session.ID)
		}
	}
}

// balance sends each request to the next node.
func balance(t *testing.T, nodes []*url.URL) http.Handler {
	var next atomic.Int64
	transport := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(nodes[next.Add(1)%int64(len(nodes))])
		r.Out.Host = r.In.Host
	}}
}

func TestADynamoDBStoreThatMakesNoSenseIsRefused(t *testing.T) {
	for _, store := range []string{
		"dynamodb:", "dynamodb:a b", "dynamodb:vigil?region=a&region=b", "dynamodb:vigil?zone=a", "dynamodb:vigil?endpoint=here", "dynamodb:vigil?%zz",
	} {
		if code, _, errs := command(t.Context(), nil, "migrate", "--store="+store); code != 2 || !strings.Contains(errs, "store") {
			t.Errorf("%s: got code %d, %q, want 2 and the field", store, code, errs)
		}
	}
	for _, secret := range []string{"short", "%%%", base64.StdEncoding.EncodeToString(make([]byte, 31))} {
		if _, err := secretSealer(secret); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("got %v, want it refused and not repeated", err)
		}
	}
}
