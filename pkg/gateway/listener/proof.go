package listener

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
)

// provenPods is the cluster of the pods that prove which pod they are. Each route writes the
// name that its pod's certificate must have into a header (Envoy's override_auto_sni_header);
// Envoy asks for that name, refuses any other with 503, and shares a connection between
// requests for the same address and the same name only (K8, R10).
func provenPods(ca string) *clusterv3.Cluster {
	c := pods(contract.ClusterProvenPods)
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpOptions: envoyapi.Pack(&httpv3.HttpProtocolOptions{
		UpstreamHttpProtocolOptions: &corev3.UpstreamHttpProtocolOptions{
			AutoSni: true, AutoSanValidation: true, OverrideAutoSniHeader: contract.HeaderProofName,
		},
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{
					HttpProtocolOptions: &corev3.Http1ProtocolOptions{},
				},
			},
		},
	})}
	c.TransportSocket = upstreamTLS(&tlsv3.UpstreamTlsContext{
		// Envoy keeps sessions by cluster, not by name: it would offer a pod's session on a
		// dead pod's address, and only a second look at the old certificate (Envoy 1.40 takes
		// it) would then tell them apart.
		MaxSessionKeys: wrapperspb.UInt32(0),
		CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsParams:                      onlyTLS13(),
			AlpnProtocols:                  []string{"http/1.1"},
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: SecretGateway}},
			ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
				TrustedCa: inline(ca),
			}},
		},
	})
	return c
}

// CheckCA reports why text is no PEM text of CA certificates that Envoy would take.
func CheckCA(text []byte) error {
	found := false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			// Envoys get this text: a private key in it would go out with it.
			return fmt.Errorf("holds a %s; only certificates belong there", block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("read certificate: %w", err)
		}
		if !certificate.IsCA {
			return fmt.Errorf("the certificate %q is no CA's", certificate.Subject)
		}
		found = true
	}
	if !found {
		return errors.New("holds no certificate in PEM")
	}
	return nil
}
