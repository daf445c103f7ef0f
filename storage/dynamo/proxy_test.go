package dynamo_test

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// proxy stands before the service and spoils some of its answers.
type proxy struct {
	url string

	mu      sync.Mutex
	random  *rand.Rand
	share   float64        // of the requests that are spoiled
	only    string         // the one way to spoil, where that is not any
	op      string         // the one operation to spoil, where that is not any
	gate    chan struct{}  // where it is not nil: requests wait until it is closed
	inside  int            // requests that are not answered yet
	peak    int            // most of them at once
	spoiled map[string]int // how many, by how
	targets map[string]int // operations that were asked for
}

// newProxy starts one; it ends with the test.
func newProxy(t testing.TB) *proxy {
	t.Helper()
	p := &proxy{random: rand.New(rand.NewPCG(1, 2)), spoiled: map[string]int{}, targets: map[string]int{}}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer p.enter()()
		how := p.next(r.Header.Get("X-Amz-Target"))
		switch how {
		case "throttled":
			fault(w, http.StatusBadRequest, "ThrottlingException")
			return
		case "exceeded":
			fault(w, http.StatusBadRequest, "ProvisionedThroughputExceededException")
			return
		case "failed":
			fault(w, http.StatusInternalServerError, "InternalServerError")
			return
		case "unavailable":
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		req, err := http.NewRequestWithContext(r.Context(), r.Method, server.URL+r.URL.Path, r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header = r.Header
		req.Host = r.Host // it is signed
		resp, err := client.Do(req)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		switch how { // done, and nobody hears of it
		case "failed after it was done":
			fault(w, http.StatusInternalServerError, "InternalServerError")
			return
		case "cut after it was done":
			panic(http.ErrAbortHandler)
		}
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = w.Write(body)
	}))
	t.Cleanup(func() {
		front.Close()
		client.CloseIdleConnections()
	})
	p.url = front.URL
	return p
}

func fault(w http.ResponseWriter, status int, kind string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"__type":"com.amazonaws.dynamodb.v20120810#`+kind+`","message":"injected"}`)
}

var faults = []string{"throttled", "exceeded", "failed", "unavailable", "failed after it was done", "cut after it was done"}

// next decides what becomes of a request; "" leaves it alone.
func (p *proxy) next(target string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, op, _ := strings.Cut(target, ".")
	p.targets[op]++
	if p.random.Float64() >= p.share || p.op != "" && p.op != op {
		return ""
	}
	how := faults[p.random.IntN(len(faults))]
	if p.only != "" {
		how = p.only
	}
	p.spoiled[how]++
	return how
}

// spoil spoils a share of all requests in any way.
func (p *proxy) spoil(share float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.share, p.op, p.only = share, "", ""
}

// spoilOnly spoils all requests of one operation (or of any) in one way.
func (p *proxy) spoilOnly(op, how string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.share, p.op, p.only = 1, op, how
}

// enter counts a request until the returned function is called, and lets it wait where
// requests are held.
func (p *proxy) enter() (leave func()) {
	p.mu.Lock()
	p.inside++
	p.peak = max(p.peak, p.inside)
	gate := p.gate
	p.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.inside--
	}
}

// hold lets requests wait until release is called.
func (p *proxy) hold() (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gate := make(chan struct{})
	p.gate, p.peak = gate, 0
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.gate = nil
		close(gate)
	})
}

// held is how many requests are not answered yet, most how many that were at once.
func (p *proxy) held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inside
}

func (p *proxy) most() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.peak
}
