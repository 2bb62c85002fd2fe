// Package pki makes throw-away certificates for tests and benchmarks.
package pki

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/run/mtls"
)

// CA signs certificates for one test.
type CA struct {
	tb        testing.TB
	authority *Authority
}

// New returns a CA that is known to nothing but the files it issues.
func New(tb testing.TB) *CA {
	tb.Helper()
	authority, err := NewAuthority()
	if err != nil {
		tb.Fatal(err)
	}
	return &CA{tb, authority}
}

// Issue returns the files of a certificate with the given DNS name, valid from now
// for the given time (negative: already expired), and for 127.0.0.1. They vanish with
// the test.
func (ca *CA) Issue(name string, valid time.Duration, more ...string) mtls.Files {
	ca.tb.Helper()
	return ca.IssueIn(ca.tb.TempDir(), name, valid, more...)
}

// IssueIn is Issue into a folder of the caller's.
func (ca *CA) IssueIn(dir, name string, valid time.Duration, more ...string) mtls.Files {
	ca.tb.Helper()
	pair, err := ca.authority.Sign(valid, append([]string{name}, more...)...)
	if err != nil {
		ca.tb.Fatal(err)
	}
	files, err := ca.authority.Write(dir, pair)
	if err != nil {
		ca.tb.Fatal(err)
	}
	return files
}

// Pair returns the CA's own certificate and key, for a service that signs.
func (ca *CA) Pair() Pair {
	ca.tb.Helper()
	pair, err := ca.authority.Pair()
	if err != nil {
		ca.tb.Fatal(err)
	}
	return pair
}

// Pool returns what trusts this CA and no other.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.authority.cert)
	return pool
}
