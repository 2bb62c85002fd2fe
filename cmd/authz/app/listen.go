package app

import (
	"crypto/tls"
	"net"

	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/run/mtls"
)

// listenFor opens addr. A Unix socket is guarded by its file's mode; on TCP only a certificate of
// that name gets in: who reaches these ports directly could ask as anyone.
func listenFor(cfg Config, addr, name string) (net.Listener, *tls.Config, error) {
	var conf *tls.Config
	if !run.IsUnix(addr) {
		var err error
		if conf, err = mtls.Server(cfg.TLS, []string{name}); err != nil {
			return nil, nil, err
		}
	}
	l, err := run.Listen(addr)
	if err != nil {
		return nil, nil, err
	}
	return l, conf, nil
}
