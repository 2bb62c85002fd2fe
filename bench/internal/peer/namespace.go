package peer

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/bench/internal/installed"
)

// Namespace is that of the pods that are not the platform's.
const Namespace = "perijove-bench"

// Make makes the namespace, with the configuration that the image needs. The platform's own lets
// nobody in who has not come through its gateway; in this one whoever comes is the user.
func Make(ctx context.Context, client kubernetes.Interface) error {
	_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("namespace %s (one that is left from before: delete it): %w", Namespace, err)
	}
	const jupyter, file, extension = "perijove-jupyter", "jupyter_server_config.py", "notices.remoteEntry.js"
	config, err := client.CoreV1().ConfigMaps(installed.Servers).Get(ctx, jupyter, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the configuration of Jupyter: %w", err)
	}
	config.Data[file] += "\n" + anybody
	config.Data[extension] = nothing
	_, err = client.CoreV1().ConfigMaps(Namespace).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: jupyter}, Data: config.Data,
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("write the configuration of Jupyter: %w", err)
	}
	return nil
}

// anybody takes every visitor for the user: nothing before JupyterHub's servers tells them who
// comes. A real one asks the hub, which takes longer.
const anybody = `PerijoveIdentityProvider.get_user = lambda self, handler: User(username=os.environ["PERIJOVE_USER"])
`

// nothing stands for the extension that the platform adds to JupyterLab: JupyterHub has no such.
const nothing = `(window._JUPYTERLAB ??= {})["@perijove/notices"] = { init: () => {}, get: async () => () => ({ default: [], __esModule: true }) };
`

// Remove removes the namespace with all that is in it.
func Remove(ctx context.Context, client kubernetes.Interface) error {
	err := client.CoreV1().Namespaces().Delete(ctx, Namespace, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove namespace %s: %w", Namespace, err)
	}
	return nil
}

// Environment is what the image needs when Perijove has not made the pod.
func Environment(name string) map[string]string {
	return map[string]string{
		"HOME": "/home/jovyan", "JUPYTER_CONFIG_PATH": "/etc/perijove/jupyter", "PERIJOVE_BASE_URL": "/user/" + name + "/", "PERIJOVE_USER": name,
		"PERIJOVE_SERVER_SECRET": "one-that-nobody-knows-or-needs-here",
	}
}
