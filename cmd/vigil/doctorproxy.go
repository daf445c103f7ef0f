package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"

	"vigil"
)

// What follows looks at the way through the public URL: certificate, proxy, clock, timeouts.

// certificateLow is how long before its end a certificate should have been renewed, if it
// is one of months; shorter ones are to have a quarter of their time left.
const certificateLow = 10 * 24 * time.Hour

// doctorHTTP makes requests to the public URL, each on a connection of its own.
func doctorHTTP() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// heard is what the public URL answered.
type heard struct {
	status int
	body   []byte
}

// ask makes one request through the public URL on a connection of its own.
func (c doctorCmd) ask(ctx context.Context, path string, header http.Header) (heard, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.PublicURL, "/")+path, http.NoBody)
	if err != nil {
		return heard{}, err
	}
	req.Header = header
	client := doctorHTTP()
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return heard{}, err
	}
	defer res.Body.Close()
	h := heard{status: res.StatusCode}
	if res.StatusCode != http.StatusSwitchingProtocols {
		h.body, err = io.ReadAll(io.LimitReader(res.Body, doctorRead))
	}
	return h, err
}

// unreachable words why nothing answers at the public URL.
func unreachable(err error) finding {
	var cert *tls.CertificateVerificationError
	var dns *net.DNSError
	var op *net.OpError
	f := finding{err: err, advice: "see that the name resolves here, that the certificate is right and that the server runs."}
	switch {
	case errors.As(err, &cert):
		return badCertificate(cert)
	case errors.As(err, &dns):
		f.advice = "enter the name in the DNS, with the address of this server or of the proxy before it."
	case errors.As(err, &op) && op.Op == "dial":
		f.advice = "see that the proxy runs, that it listens on this port and that the firewall lets it through."
	}
	return f
}

// badCertificate names what is wrong with a certificate.
func badCertificate(err *tls.CertificateVerificationError) finding {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	switch {
	case errors.As(err.Err, &invalid) && invalid.Reason == x509.Expired && time.Now().After(invalid.Cert.NotAfter):
		return finding{
			err:    fmt.Errorf("the certificate of %s has expired on %s", certificateName(invalid.Cert), invalid.Cert.NotAfter.UTC().Format(time.RFC1123)),
			advice: "renew it, then reload the proxy (certbot: `certbot renew` and `systemctl reload nginx`; Caddy renews by itself: its log says why it could not).",
		}
	case errors.As(err.Err, &invalid) && invalid.Reason == x509.Expired:
		return finding{
			err:    fmt.Errorf("the certificate of %s is not valid before %s", certificateName(invalid.Cert), invalid.Cert.NotBefore.UTC().Format(time.RFC1123)),
			advice: "look at this machine's clock first: `date`, `timedatectl`.",
		}
	case errors.As(err.Err, &host):
		return finding{
			err:    fmt.Errorf("the certificate is for %s, not for %s", certificateName(host.Certificate), host.Host),
			advice: "let the proxy have a certificate for the name in the public URL.",
		}
	case errors.As(err.Err, &unknown):
		return finding{
			err: errors.New("the certificate is signed by nobody whom this machine trusts"),
			advice: "give the proxy the whole chain (certbot: fullchain.pem, not cert.pem). A certificate of the school's own authority must be trusted by every browser, " +
				"by Moodle's server and here (/usr/local/share/ca-certificates, then `update-ca-certificates`).",
		}
	}
	return finding{err: err, advice: "let the proxy have a valid certificate for the name in the public URL."}
}

func certificateName(c *x509.Certificate) string {
	if c == nil {
		return "nobody"
	}
	if len(c.DNSNames) > 0 {
		return strings.Join(c.DNSNames, ", ")
	}
	return c.Subject.String()
}

// checkCertificate looks at the certificate as a browser does, and at how long it lasts.
func (c doctorCmd) checkCertificate(ctx context.Context) finding {
	u, err := url.Parse(c.PublicURL)
	if err != nil {
		return finding{err: err, advice: "the public URL comes first."}
	}
	if u.Scheme != "https" {
		return finding{what: "none: the public URL is http, on this machine only"}
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "443")
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return unreachable(err)
	}
	defer raw.Close()
	conn := tls.Client(raw, &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12})
	if err := conn.HandshakeContext(ctx); err != nil {
		return unreachable(err)
	}
	chain := conn.ConnectionState().PeerCertificates
	ends, low := chain[0].NotAfter, min(certificateLow, chain[0].NotAfter.Sub(chain[0].NotBefore)/4)
	for _, cert := range chain {
		if cert.NotAfter.Before(ends) {
			ends = cert.NotAfter
		}
	}
	f := finding{what: "valid until " + ends.UTC().Format("2006-01-02")}
	if left := time.Until(ends); left < low {
		f.warnings = append(f.warnings, fmt.Sprintf("the certificate expires in %s, on %s. Renew it: with certbot or Caddy that should have happened by itself.",
			vigil.Span(left.Round(time.Hour)), ends.UTC().Format(time.RFC1123)))
	}
	return f
}

// probe asks a server behind the public URL how requests arrive there. Between are the
// times of asking and of the answer.
func (c doctorCmd) probe(ctx context.Context) (p probed, between [2]time.Time, f *finding) {
	between[0] = time.Now()
	res, err := c.ask(ctx, probePath, http.Header{})
	between[1] = time.Now()
	switch {
	case err != nil:
		return p, between, &finding{err: err, advice: "the public URL comes first."}
	case res.status != http.StatusOK || json.Unmarshal(res.body, &p) != nil || p.Node == "":
		return p, between, &finding{
			err:    fmt.Errorf("%s answers %d, and not as this version of Vigil does", probePath, res.status),
			advice: "let the proxy send everything under the public URL to Vigil; if it does, update the servers to this program's version.",
		}
	}
	return p, between, nil
}

// checkProxy looks at how requests arrive.
func (c doctorCmd) checkProxy(ctx context.Context) finding {
	nodes := map[string]bool{}
	forwarded, untrusted := false, false
	for range doctorAsks {
		p, _, f := c.probe(ctx)
		if f != nil {
			return *f
		}
		if !strings.HasPrefix(p.Protocol, "HTTP/1.1") && !strings.HasPrefix(p.Protocol, "HTTP/2") {
			return finding{
				err:    fmt.Errorf("the proxy speaks %s to Vigil, in which there are no WebSockets", p.Protocol),
				advice: "for nginx, set `proxy_http_version 1.1;` where its proxy_pass is (deploy/nginx.conf).",
			}
		}
		nodes[p.Node] = true
		forwarded = forwarded || p.Forwarded
		untrusted = untrusted || p.Forwarded && !p.Trusted
	}
	f := finding{what: "it speaks HTTP/1.1 to Vigil; servers met: " + fmt.Sprint(len(nodes))}
	if !forwarded {
		f.what = "requests arrive in HTTP/1.1, without X-Forwarded-For; servers met: " + fmt.Sprint(len(nodes))
	}
	if untrusted {
		f.warnings = append(f.warnings, "the proxy's address is recorded for every student, because the server does not trust its X-Forwarded-For. "+
			"Set VIGIL_TRUSTED_PROXIES to the proxy's address: 127.0.0.1/32,::1/128 if it is on the same machine.")
	}
	return f
}

// checkClock compares this machine's clock with that of the servers. Date headers do not
// count: a proxy sets its own.
func (c doctorCmd) checkClock(ctx context.Context) finding {
	for range doctorAsks {
		p, between, f := c.probe(ctx)
		if f != nil {
			return *f
		}
		at := time.UnixMilli(p.Now)
		apart := max(between[0].Sub(at), at.Sub(between[1]))
		if apart > clockApart {
			return finding{
				err:    fmt.Errorf("this machine's clock and that of server %s behind the public URL differ by %s", p.Node, vigil.Span(apart)),
				advice: "let both machines take the time from the network (chrony, systemd-timesyncd). The server's log has its id in the line \"serving\".",
			}
		}
	}
	return finding{what: "within 5 s of the servers behind the public URL"}
}

// checkQuiet opens a socket on which the server sends nothing for longer than it ever does
// to a student.
func (c doctorCmd) checkQuiet(ctx context.Context) finding {
	p, _, f := c.probe(ctx)
	if f != nil {
		return *f
	}
	client := doctorHTTP()
	defer client.CloseIdleConnections()
	ws, res, err := websocket.Dial(ctx, strings.TrimSuffix(c.PublicURL, "/")+probePath, &websocket.DialOptions{ //nolint:bodyclose // Dial closes it
		HTTPClient: client, HTTPHeader: http.Header{"Origin": {vigil.Origin(c.PublicURL)}}, CompressionMode: websocket.CompressionDisabled,
	})
	if res != nil && res.StatusCode == http.StatusServiceUnavailable {
		return finding{warnings: []string{"not tried: the server is busy with other trials. Try again in a minute."}}
	}
	if err != nil {
		return finding{err: fmt.Errorf("a WebSocket could not be opened: %w", err), advice: "the WebSocket comes first."}
	}
	defer func() { _ = ws.CloseNow() }()
	begin := time.Now()
	_, _, err = ws.Read(ctx)
	var closed websocket.CloseError
	if errors.As(err, &closed) && closed.Code == websocket.StatusNormalClosure && closed.Reason == quietEnded {
		return finding{what: fmt.Sprintf("a WebSocket may stay quiet for %s", vigil.Span(time.Duration(p.Quiet)*time.Millisecond))}
	}
	after := time.Since(begin).Round(100 * time.Millisecond)
	if errors.As(err, &closed) && closed.Code == websocket.StatusGoingAway {
		return finding{warnings: []string{"not tried: the server stopped meanwhile. Try again."}}
	}
	return finding{
		err: fmt.Errorf("a WebSocket that was quiet for %s was closed on the way, and it must last %s", vigil.Span(after), vigil.Span(time.Duration(p.Quiet)*time.Millisecond)),
		advice: "raise the timeout for quiet connections in everything between browsers and Vigil to 90 s or more " +
			"(nginx: proxy_read_timeout; HAProxy: timeout tunnel; AWS: the load balancer's idle timeout).",
	}
}
