package account

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

const (
	// dataKey is the Secret's key that holds the account.
	dataKey = "account.json"
	// maxBytes keeps the Secret under Kubernetes' limit of 1 MiB.
	maxBytes = 900 << 10
)

// stored is an account in its Secret.
type stored struct {
	Account
	// Version grows with every write, so that a late event never undoes what this
	// replica has just written.
	Version int64 `json:"version"`
}

func (s *Store) secretName(user string) string {
	return s.Release + "-account-" + server.UserSlug(user)
}

// decode reads an account out of its Secret. An account under another person's object
// name is refused: it would be written back to the wrong place.
func (s *Store) decode(secret *corev1.Secret) (stored, error) {
	var v stored
	if err := json.Unmarshal(secret.Data[dataKey], &v); err != nil {
		return stored{}, fmt.Errorf("read account in secret %s: %w", secret.Name, err)
	}
	if v.Name == "" || s.secretName(v.Name) != secret.Name {
		return stored{}, fmt.Errorf("secret %s holds the account of another name", secret.Name)
	}
	return v, nil
}

// encode writes v into its Secret: the data, and one label per link to find it by.
func (s *Store) encode(v stored, into *corev1.Secret) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode account: %w", err)
	}
	if len(data) > maxBytes {
		return fmt.Errorf("the account has %d bytes and does not fit into a Secret", len(data))
	}
	labels := map[string]string{}
	for key, value := range into.Labels {
		if !strings.HasPrefix(key, contract.LabelAccountLink) {
			labels[key] = value
		}
	}
	labels[contract.LabelAccount], labels[contract.LabelInstance] = "true", s.Release
	for _, link := range v.Links {
		labels[contract.LabelAccountLink+linkKey(link)] = ""
	}
	into.Labels = labels
	into.Data = map[string][]byte{dataKey: data}
	return nil
}

func (s *Store) newSecret(user string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.secretName(user)}, Type: corev1.SecretTypeOpaque}
}

// selector finds the accounts of this release: several may share a namespace.
func (s *Store) selector() string {
	return contract.LabelAccount + "=true," + contract.LabelInstance + "=" + s.Release
}

// same reports whether writing v would change nothing but its version.
func same(before []byte, v stored) bool {
	var old struct {
		Version int64 `json:"version"`
	}
	if before == nil || json.Unmarshal(before, &old) != nil {
		return false
	}
	v.Version = old.Version
	now, err := json.Marshal(v)
	return err == nil && bytes.Equal(before, now)
}
