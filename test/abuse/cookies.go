package abuse

import "strings"

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// Altered are S2: a sealed cookie's value with one character changed, for each of them,
// and cut short. A letter of base64 loses its highest bit, the one that always counts.
// What is added at the ends is not among them: Envoy's JWT library skips empty parts and
// letters behind the signature, which alters nothing that was signed.
func Altered(value string) (all []string) {
	for i := range len(value) {
		other := byte('x')
		if at := strings.IndexByte(base64url, value[i]); at >= 0 {
			other = base64url[at^32]
		}
		all = append(all, value[:i]+string(other)+value[i+1:], value[:i])
	}
	return append(all, value+"."+value)
}
