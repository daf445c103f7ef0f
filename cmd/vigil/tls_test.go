package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vigil/internal/testutil"
)

// authority signs certificates, and is trusted by whom roots is given to.
type authority struct {
	*testing.T
	dir   string
	key   *ecdsa.PrivateKey
	cert  *x509.Certificate
	roots string // PEM file
	count int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{T: t, dir: t.TempDir()}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.ok(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test authority"}, NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	a.ok(err)
	a.key = key
	a.cert, err = x509.ParseCertificate(der)
	a.ok(err)
	a.roots = a.write("roots.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) ok(err error) {
	a.Helper()
	testutil.OK(a, err)
}

func (a *authority) write(name, kind string, der []byte) string {
	a.Helper()
	path := filepath.Join(a.dir, name)
	a.ok(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

// issue signs a certificate for a name and returns its files.
func (a *authority) issue(name string, from, until time.Time) (cert, key string) {
	a.Helper()
	a.count++
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.ok(err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(a.count + 1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: from, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, private.Public(), a.key)
	a.ok(err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	a.ok(err)
	file := name + "-" + big.NewInt(a.count).String()
	return a.write(file+".pem", "CERTIFICATE", der), a.write(file+".key", "PRIVATE KEY", raw)
}

// transport trusts the authority.
func (a *authority) transport() *http.Transport {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	t := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	a.Cleanup(t.CloseIdleConnections)
	return t
}
