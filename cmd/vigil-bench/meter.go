//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// meter stands before DynamoDB Local and counts what its answers say was consumed.
type meter struct {
	url    string
	server *http.Server
	done   chan struct{}

	mu          sync.Mutex
	read, write float64
}

// newMeter listens on a free port.
func newMeter(service string) (*meter, error) {
	to, err := url.Parse(service)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // on this machine
	if err != nil {
		return nil, err
	}
	m := &meter{url: "http://" + l.Addr().String(), done: make(chan struct{})}
	m.server = &http.Server{ReadHeaderTimeout: upgradeTime, Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // it is signed
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		ModifyResponse: func(r *http.Response) error {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			m.count(r.Request.Header.Get("X-Amz-Target"), body)
			return nil
		},
	}}
	go func() {
		defer close(m.done)
		_ = m.server.Serve(l) // until it is closed
	}()
	return m, nil
}

// count adds what an answer says. Reads are told by the operation.
func (m *meter) count(target string, body []byte) {
	var answer struct {
		ConsumedCapacity json.RawMessage
	}
	if !bytes.Contains(body, []byte(`"ConsumedCapacity"`)) || json.Unmarshal(body, &answer) != nil {
		return
	}
	type capacity struct{ CapacityUnits float64 }
	var list []capacity
	if json.Unmarshal(answer.ConsumedCapacity, &list) != nil { // of one table
		list = make([]capacity, 1)
		if json.Unmarshal(answer.ConsumedCapacity, &list[0]) != nil {
			return
		}
	}
	_, op, _ := strings.Cut(target, ".")
	reads := op == "GetItem" || op == "BatchGetItem" || op == "Query" || op == "Scan" || op == "TransactGetItems"
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range list {
		if reads {
			m.read += c.CapacityUnits
		} else {
			m.write += c.CapacityUnits
		}
	}
}

// units are what was consumed so far.
func (m *meter) units() (read, write float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.read, m.write
}

func (m *meter) close() error {
	err := m.server.Close()
	<-m.done
	return err
}
