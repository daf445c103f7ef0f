// Package dynamolocal runs AWS's own DynamoDB Local for tests: a Java program from Maven
// Central, which `make test` fetches once into .cache/dynamodb-local.
package dynamolocal

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

//go:embed pom.xml
var pom []byte

// script runs the service; the browser tests use it, too.
//
//go:embed run.sh
var script string

// Set CI, and a test that cannot have its service fails instead of being skipped.
const demand = "CI"

// Where another place than .cache/dynamodb-local has the files.
const place = "DYNAMODB_LOCAL"

// ErrMissing means that there is no Java, or no Maven to fetch the service with.
var ErrMissing = errors.New("DynamoDB Local cannot run here")

// Demanded tells whether a test must fail where the service cannot run.
func Demanded() bool { return os.Getenv(demand) != "" }

// Server is a running service with its tables in memory.
type Server struct {
	URL  string
	cmd  *exec.Cmd
	in   io.Closer
	done chan error
	log  *bytes.Buffer
}

// Start starts a service on a free port, and fetches its files if they are not there.
// Credentials for it are set in the environment: it takes any. The caller ends it.
func Start(ctx context.Context) (*Server, error) {
	if _, err := exec.LookPath("java"); err != nil {
		return nil, fmt.Errorf("%w: no java (Debian: default-jre-headless)", ErrMissing)
	}
	dir, err := files(ctx)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "vigiltest", "AWS_SECRET_ACCESS_KEY": "vigiltest", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	for try := 0; ; try++ {
		s, err := run(ctx, dir)
		if err == nil || try == 2 {
			return s, err // another program may have taken the port
		}
	}
}

func run(ctx context.Context, dir string) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &Server{URL: "http://127.0.0.1:" + strconv.Itoa(port), done: make(chan error, 1), log: &bytes.Buffer{}}
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), "sh", "-c", script, "sh", dir, strconv.Itoa(port)) //nolint:gosec // our own script
	s.cmd.Env = append(os.Environ(), "DDB_LOCAL_TELEMETRY=0")
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.done <- s.cmd.Wait() }()
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
		if err != nil {
			break
		}
		if resp, err := client.Do(req); err == nil { // any answer is one
			return s, resp.Body.Close()
		}
	}
	stopped := s.Stop()
	return nil, fmt.Errorf("DynamoDB Local did not answer on %s (%w): %s", s.URL, errors.Join(ctx.Err(), stopped), s.log)
}

// Stop ends the service and waits for its end.
func (s *Server) Stop() error {
	return errors.Join(s.in.Close(), <-s.done)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // for a moment
	if err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, errors.Join(err, l.Close())
	}
	n, err := strconv.Atoi(port)
	return n, errors.Join(err, l.Close())
}

// files returns where the service's files are.
func files(ctx context.Context) (string, error) {
	dir := os.Getenv(place)
	if dir == "" {
		root, err := moduleRoot()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, ".cache", "dynamodb-local")
	}
	if found, err := filepath.Glob(filepath.Join(dir, "DynamoDBLocal-*.jar")); err == nil && len(found) > 0 {
		return dir, nil
	}
	return dir, Fetch(ctx, dir)
}

// Fetch brings the service's files from Maven Central into a directory that is not
// there yet. Several may do so at once.
func Fetch(ctx context.Context, dir string) error {
	if _, err := exec.LookPath("mvn"); err != nil {
		return fmt.Errorf("%w: its files are not in %s, and there is no mvn to fetch them with (Debian: maven)", ErrMissing, dir)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // a cache of public files
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "fetching-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.WriteFile(filepath.Join(tmp, "pom.xml"), pom, 0o600); err != nil { //nolint:gosec // a directory of our own
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	lib := filepath.Join(tmp, "lib")
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", filepath.Join(tmp, "pom.xml"), "dependency:copy-dependencies", "-DoutputDirectory="+lib) //nolint:gosec // our own arguments
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fetching DynamoDB Local from Maven Central: %w: %s", err, bytes.TrimSpace(out))
	}
	if err := os.Rename(lib, dir); err != nil { //nolint:gosec // where the developer wants it
		if found, globErr := filepath.Glob(filepath.Join(dir, "DynamoDBLocal-*.jar")); globErr == nil && len(found) > 0 {
			return nil // somebody else was faster
		}
		return err
	}
	return nil
}

// moduleRoot is the directory with go.mod, from the working directory up.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the working directory")
		}
	}
}
