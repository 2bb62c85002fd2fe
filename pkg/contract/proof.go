package contract

import "fmt"

// A spawned pod proves to Envoy and to the spawner which pod it is: it serves TLS with a
// certificate for ProofName. Its issuer is the servers' own CA, whose key the spawner alone
// has. Without the proof an address is all that Envoy knows of a pod, and Kubernetes gives
// the address of a dead pod to the next one.

// proofDomain ends every ProofName; .internal is nobody's on the internet.
const proofDomain = ".pod.perijove.internal"

// ProofName is the one DNS name in the certificate of the pod with this UID. The API server
// makes UIDs, never twice the same one, and takes none from whoever creates a pod: copying a
// pod with all its annotations copies no proof. An error says that uid is no DNS label
// (RFC 1123 §2.1), such as "*", which would be the name of every pod.
func ProofName(uid string) (string, error) {
	const longest = 63
	if uid == "" || len(uid) > longest || uid[0] == '-' || uid[len(uid)-1] == '-' {
		return "", fmt.Errorf("UID %q is no DNS label", uid)
	}
	for i := range len(uid) {
		if c := uid[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return "", fmt.Errorf("UID %q is no DNS label", uid)
		}
	}
	return uid + proofDomain, nil
}
