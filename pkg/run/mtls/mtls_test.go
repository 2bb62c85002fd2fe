package mtls_test

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/test/pki"
)

// connect tries a handshake and one byte each way; nil means that both sides agreed.
func connect(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		if c.(*tls.Conn).Handshake() == nil {
			_, _ = c.Write([]byte("x"))
		}
	}()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", l.Addr().String(), client)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, err = c.Read(make([]byte, 1)) // TLS 1.3: the server's refusal arrives here
	return err
}

func server(t *testing.T, f mtls.Files, allowed ...string) *tls.Config {
	t.Helper()
	conf, err := mtls.Server(f, allowed)
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

func client(t *testing.T, f mtls.Files, name string) *tls.Config {
	t.Helper()
	conf, err := mtls.Client(f, name)
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// X1: every caller but the listed one is refused, and so is every other server.
func TestX1_OnlyListedNamesOfOurCAConnect(t *testing.T) {
	ca, foreign := pki.New(t), pki.New(t)
	hub := ca.Issue("hub", time.Hour)
	ours := server(t, hub, "gateway")

	if err := connect(t, ours, client(t, ca.Issue("gateway", time.Hour), "hub")); err != nil {
		t.Errorf("the listed client is refused: %v", err) // negative control
	}
	for name, conf := range map[string]*tls.Config{
		"another name of our CA":                          client(t, ca.Issue("notebook", time.Hour), "hub"),
		"an expired certificate":                          client(t, ca.Issue("gateway", -time.Hour), "hub"),
		"a server that is not the one that was asked for": client(t, ca.Issue("gateway", time.Hour), "other"),
		"no certificate":                                  {InsecureSkipVerify: true, MinVersion: tls.VersionTLS13},
		"TLS 1.2":                                         {InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12},
	} {
		if err := connect(t, ours, conf); err == nil {
			t.Errorf("%s: connected", name)
		}
	}
	stranger := foreign.Issue("gateway", time.Hour)
	stranger.CA = hub.CA // it trusts us, we do not trust it
	if err := connect(t, ours, client(t, stranger, "hub")); err == nil {
		t.Error("the right name by a foreign CA connected")
	}
}

// K8: one configuration serves for many servers, each by its own name; without a name it
// accepts none.
func TestK8_CopyAcceptsItsOwnNameOnly(t *testing.T) {
	ca := pki.New(t)
	pod := server(t, ca.Issue("a.pod", time.Hour), "spawner")
	base := client(t, ca.Issue("spawner", time.Hour), "")
	for name, want := range map[string]bool{"a.pod": true, "b.pod": false, "pod": false, "": false, "127.0.0.1": false} {
		named := base.Clone()
		named.ServerName = name
		if err := connect(t, pod, named); (err == nil) != want {
			t.Errorf("as %q: %v", name, err)
		}
	}
}

func TestPortWithoutNamesIsAnError(t *testing.T) {
	if _, err := mtls.Server(pki.New(t).Issue("hub", time.Hour), nil); err == nil {
		t.Error("a port that admits nobody was made")
	}
}

func TestMissingFilesAreNamed(t *testing.T) {
	if _, err := mtls.Client(mtls.Files{Cert: "/none", Key: "/none", CA: "/none"}, "hub"); err == nil {
		t.Error("missing files went unnoticed")
	}
}
