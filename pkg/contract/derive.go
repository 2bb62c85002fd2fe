package contract

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
)

// EncodeHeader makes any UTF-8 text a safe header value (RFC 3986 percent-encoding).
func EncodeHeader(s string) string { return url.PathEscape(s) }

// DecodeHeader reverses EncodeHeader; an error means that the value was not ours.
func DecodeHeader(s string) (string, error) {
	out, err := url.PathUnescape(s)
	if err != nil {
		return "", fmt.Errorf("decode header value: %w", err)
	}
	return out, nil
}

// EncodeHeaders makes one header value of a list: each text percent-encoded, joined by
// spaces.
func EncodeHeaders(list []string) string {
	encoded := make([]string, len(list))
	for i, s := range list {
		encoded[i] = EncodeHeader(s)
	}
	return strings.Join(encoded, " ")
}

// DecodeHeaders reverses EncodeHeaders; nil for an empty value.
func DecodeHeaders(s string) ([]string, error) {
	var list []string
	for encoded := range strings.FieldsSeq(s) {
		text, err := DecodeHeader(encoded)
		if err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, nil
}

// ServerSecret derives the secret that Envoy shows to one spawned pod. The spawner gives it
// to the pod, and the xds-server puts it on the pod's route; both derive it anew when they
// need it. master is the installation's server key (at least 32 bytes), nonce the random
// AnnotationNonce of the pod. A pod that gets a dead pod's IP address has another nonce, so it
// refuses requests on a stale route.
func ServerSecret(master []byte, namespace, pod, nonce string) string {
	return derive(master, "perijove server secret v1", namespace, pod, nonce)
}

// OrderKey derives the key that a pod of a pool asks for before it takes its order, from what
// ServerSecret is derived from. It lets nobody compute the server's secret, which the order brings.
func OrderKey(master []byte, namespace, pod, nonce string) string {
	return derive(master, "perijove order key v1", namespace, pod, nonce)
}

// derive length-prefixes the fields, so that no two inputs collide.
func derive(master []byte, fields ...string) string {
	mac := hmac.New(sha256.New, master)
	for _, field := range fields {
		fmt.Fprintf(mac, "%d:%s", len(field), field)
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
