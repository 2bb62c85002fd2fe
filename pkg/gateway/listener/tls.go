package listener

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
)

// minRSABits is the shortest key that Envoy's TLS library accepts.
const minRSABits = 2048

// publicTLS names the certificate and does not hold it: a new certificate reaches Envoy as
// a secret, while any change of the listener would close every open websocket.
// Without TLS there is no transport socket.
func publicTLS(s Settings) *corev3.TransportSocket {
	if !s.TLS {
		return nil
	}
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: envoyapi.Pack(&tlsv3.DownstreamTlsContext{
			CommonTlsContext: &tlsv3.CommonTlsContext{
				// RFC 9325: TLS 1.2 with forward secrecy and AEAD, or TLS 1.3.
				TlsParams: &tlsv3.TlsParameters{
					TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2,
					TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
					CipherSuites: []string{
						"[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]",
						"[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]",
						"ECDHE-ECDSA-AES256-GCM-SHA384",
						"ECDHE-RSA-AES256-GCM-SHA384",
					},
				},
				AlpnProtocols: []string{"h2", "http/1.1"},
				TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{
					Name: contract.CertificateName, SdsConfig: ads(),
				}},
			},
		})},
	}
}

// Certificate turns the two PEM texts of a Kubernetes TLS Secret into the secret that
// Envoy gets, and returns the leaf certificate, for its dates. Like Envoy it refuses a key
// that does not match and a key type that no browser takes. It does not judge dates. No
// error holds any of the key.
func Certificate(chainPEM, keyPEM []byte) (*tlsv3.Secret, *x509.Certificate, error) {
	pair, err := tls.X509KeyPair(chainPEM, keyPEM)
	if err != nil {
		return nil, nil, fmt.Errorf("read certificate and key: %w", err)
	}
	if err := checkKey(pair.PrivateKey); err != nil {
		return nil, nil, err
	}
	// Written anew: only certificates and the one key, in one form, whatever else the
	// files held.
	var chain []byte
	for _, der := range pair.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, nil, errors.New("the private key cannot be written as PKCS #8")
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return &tlsv3.Secret{
		Name: contract.CertificateName,
		Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: inlineBytes(chain),
			PrivateKey:       inlineBytes(key),
		}},
	}, pair.Leaf, nil
}

func checkKey(key any) error {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if key.N.BitLen() < minRSABits {
			return fmt.Errorf("the RSA key has %d bits; it needs at least %d", key.N.BitLen(), minRSABits)
		}
		return nil
	case *ecdsa.PrivateKey:
		if key.Curve == elliptic.P224() {
			return errors.New("the ECDSA key is on P-224; it must be on P-256, P-384 or P-521")
		}
		return nil
	}
	return errors.New("the key is neither RSA nor ECDSA: browsers take no other")
}

func inlineBytes(data []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: data}}
}
