package run

import (
	"fmt"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// KubeClient returns a client from the kubeconfig at path, or from the pod's own service
// account when path is empty. name becomes the user agent, which the API server's audit log
// shows.
func KubeClient(path, name string) (kubernetes.Interface, error) {
	config, err := restConfig(path)
	if err != nil {
		return nil, err
	}
	config.UserAgent = name
	// No limit on this side: a class that comes at once would wait behind itself, writes behind
	// reads. The API server limits its clients fairly (API Priority and Fairness).
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make Kubernetes client: %w", err)
	}
	return client, nil
}

func restConfig(path string) (*rest.Config, error) {
	if path == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("find the cluster (no kubeconfig is set, and this is no pod): %w", err)
		}
		return config, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	return config, nil
}
