package lti

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of everything that is fetched from a platform.
const (
	fetchTimeout    = 5 * time.Second
	maxFetchBytes   = 256 << 10 // after decompression
	maxFetchHeaders = 64 << 10
	// fetchIdle is shorter than servers' own limits (5 s is usual): a request on a
	// connection that the server is just closing has an unknown outcome.
	fetchIdle        = 2 * time.Second
	fetchConnections = 8 // to one host
)

// errForbiddenAddress is why a connection was not made.
var errForbiddenAddress = errors.New("lti: the platform's address is private, loopback, link-local or reserved")

// errNotSent marks a request that certainly did not reach the other side.
var errNotSent = errors.New("lti: not sent")

// fetcher is the one HTTP client for everything fetched from platforms. Addresses are
// judged when a connection is made, after the name was resolved, so that a name that
// resolves differently the second time gains nothing. There is no proxy: a proxy would
// do the dialling for us, unjudged. Redirects are never followed: the answer 3xx is
// returned like any other.
type fetcher struct {
	public  *http.Client
	private *http.Client // may reach private and loopback addresses too
	idle    []*http.Transport
}

// newFetcher makes one; around goes around its transports, if it is not nil.
func newFetcher(around func(next http.RoundTripper) http.RoundTripper) *fetcher {
	f := &fetcher{idle: []*http.Transport{newTransport(false), newTransport(true)}}
	client := func(t *http.Transport) *http.Client {
		c := &http.Client{
			Timeout: fetchTimeout, Transport: t,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		if around != nil {
			c.Transport = around(t)
		}
		return c
	}
	f.public, f.private = client(f.idle[0]), client(f.idle[1])
	return f
}

func newTransport(private bool) *http.Transport {
	dialer := &net.Dialer{
		Timeout: fetchTimeout,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return checkAddress(address, private)
		},
	}
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    fetchTimeout,
		ResponseHeaderTimeout:  fetchTimeout,
		MaxResponseHeaderBytes: maxFetchHeaders,
		MaxConnsPerHost:        fetchConnections,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        fetchIdle,
	}
}

// close ends idle connections; the next request makes new ones.
func (f *fetcher) close() {
	for _, t := range f.idle {
		t.CloseIdleConnections()
	}
}

// checkAddress judges an address (host:port, the host an IP) that is about to be dialled.
func checkAddress(address string, private bool) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return errForbiddenAddress
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return errForbiddenAddress
	}
	if !addressAllowed(addr, private) {
		return errForbiddenAddress
	}
	return nil
}

// Ranges that net/netip has no word for. Never: cloud metadata services, and what no
// server can lie on. Unless private: not on the public internet.
var (
	neverRanges = prefixes(
		"0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "192.88.99.0/24",
		"fd00:ec2::254/128", "fe80::/10", "ff00::/8", "::/128",
	)
	privateRanges = prefixes(
		"10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16",
		"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"::1/128", "fc00::/7", "fec0::/10", "100::/64", "2001::/32", "2001:db8::/32", "5f00::/16",
	)
	// These carry an IPv4 address, which is judged in its place.
	nat64      = prefixes("64:ff9b::/96")   // RFC 6052, the last four bytes
	nat64Local = prefixes("64:ff9b:1::/48") // RFC 8215
	sixToFour  = prefixes("2002::/16")
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

func within(list []netip.Prefix, addr netip.Addr) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// addressAllowed tells whether a platform's server may lie at an address.
func addressAllowed(addr netip.Addr, private bool) bool {
	addr = addr.WithZone("").Unmap()
	b := addr.As16()
	switch {
	case within(nat64, addr), addr.Is6() && isZero(b[:12]) && !addr.IsLoopback() && !addr.IsUnspecified():
		return addressAllowed(netip.AddrFrom4([4]byte(b[12:16])), private)
	case within(nat64Local, addr):
		return localNAT64Allowed(b, private)
	case within(sixToFour, addr):
		return addressAllowed(netip.AddrFrom4([4]byte(b[2:6])), private)
	case within(neverRanges, addr):
		return false
	case within(privateRanges, addr):
		return private
	}
	return true
}

// localNAT64Allowed judges an address of the range from which networks take NAT64 prefixes of
// their own. Where the IPv4 address lies depends on the prefix's length (RFC 6052, section 2.2),
// which is not known here: all that it may be must be allowed. Of a prefix of 96 bits only the
// one whose further bits are zero is known for one.
func localNAT64Allowed(b [16]byte, private bool) bool {
	last := netip.AddrFrom4([4]byte(b[12:16]))
	if isZero(b[6:12]) {
		return addressAllowed(last, private)
	}
	for _, four := range [][4]byte{
		{b[6], b[7], b[9], b[10]},   // 48 bits
		{b[7], b[9], b[10], b[11]},  // 56
		{b[9], b[10], b[11], b[12]}, // 64
	} {
		if !addressAllowed(netip.AddrFrom4(four), private) {
			return false
		}
	}
	return addressAllowed(last, private)
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// answer is what a platform's server said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

var errAnswerTooLong = errors.New("lti: the answer is too long")

// do sends a request to a platform's server and reads the answer, at most limit bytes
// after decompression. Plain http is refused unless the platform is private.
func (f *fetcher) do(req *http.Request, private bool, limit int64) (answer, error) {
	if req.URL.Scheme != "https" && (!private || req.URL.Scheme != "http") {
		return answer{}, fmt.Errorf("%w: plain http is only for private platforms", errNotSent)
	}
	client := f.public
	if private {
		client = f.private
	}
	req.Header.Set("User-Agent", "Vigil (LTI tool)")
	// Without a connection nothing can have been sent: the name did not resolve, the address
	// was refused, TLS failed, or all connections to the host stayed busy.
	var connected atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	res, err := client.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err != nil {
		if !connected.Load() {
			return answer{}, fmt.Errorf("%w: %w", errNotSent, withoutURL(err))
		}
		return answer{}, withoutURL(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return answer{}, withoutURL(err)
	}
	if int64(len(body)) > limit {
		return answer{}, errAnswerTooLong
	}
	return answer{status: res.StatusCode, header: res.Header, body: body}, nil
}

// withoutURL takes the URL out of an http.Client's error: some carry tokens.
func withoutURL(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
}
