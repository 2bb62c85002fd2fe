package run

import (
	"fmt"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// KubeClient returns a client from the kubeconfig at path, or from the pod's own service
// account when path is empty. name becomes the user agent, which the API server's audit log
// shows. perSecond bounds its requests, for a while twice as many; 0 is no limit.
func KubeClient(path, name string, perSecond int) (kubernetes.Interface, error) {
	config, err := restConfig(path)
	if err != nil {
		return nil, err
	}
	config.UserAgent = name
	config.QPS, config.Burst = float32(perSecond), 2*perSecond
	if perSecond == 0 {
		config.QPS = -1 // client-go's word for it
	}
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
