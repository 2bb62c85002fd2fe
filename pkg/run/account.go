package run

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// ClusterAuthority returns the cluster's certificate authority, as KubeClient trusts it.
func ClusterAuthority(path string) (*x509.CertPool, error) {
	config, err := restConfig(path)
	if err != nil {
		return nil, err
	}
	if err := rest.LoadTLSFiles(config); err != nil {
		return nil, fmt.Errorf("read the cluster's authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(config.CAData) {
		return nil, errors.New("read the cluster's authority: there is no certificate")
	}
	return pool, nil
}

// tokenLife is how long a token of AccountToken lives, the shortest that Kubernetes makes.
const tokenLife = 10 * time.Minute

// AccountToken returns a function that returns a token of a service account, made anew when half of
// its life is over. It is for those who must not see the token of this process, which can do more.
func AccountToken(client kubernetes.Interface, namespace, name string, now func() time.Time) func(context.Context) (string, error) {
	var mu sync.Mutex
	var token string
	var renew time.Time
	return func(ctx context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if now().Before(renew) {
			return token, nil
		}
		life := int64(tokenLife.Seconds())
		made, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name,
			&authv1.TokenRequest{Spec: authv1.TokenRequestSpec{ExpirationSeconds: &life}}, metav1.CreateOptions{})
		if err != nil {
			return "", fmt.Errorf("make a token of service account %s: %w", name, err)
		}
		token, renew = made.Status.Token, now().Add(tokenLife/2)
		return token, nil
	}
}
