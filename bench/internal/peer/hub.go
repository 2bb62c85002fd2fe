package peer

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/bench/internal/rig"
)

// apiToken is of a service of JupyterHub that stops servers; it listens on loopback, for one run.
const apiToken = "stops-servers-after-each-round"

// Start starts hub and proxy, whose servers will be like a pod of the platform's.
func Start(r *rig.Rig, kubeconfig string, like *corev1.Pod) (*rig.JupyterHub, error) {
	traits, err := traits(like)
	if err != nil {
		return nil, err
	}
	return r.StartJupyterHub("jupyterhub", kubeconfig, traits)
}

// Stop asks until the server is stopped: 202 means that it stops, 204 that it has.
func Stop(ctx context.Context, hub *rig.JupyterHub, name string) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodDelete, "http://"+hub.Addr+"/hub/api/users/"+name+"/server", nil)
		if err != nil {
			return fmt.Errorf("make a request: %w", err)
		}
		req.Header.Set("Authorization", "token "+apiToken)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("stop at JupyterHub: %w", err)
		}
		_ = resp.Body.Close()
		switch resp.StatusCode {
		case http.StatusNoContent:
			return nil
		case http.StatusAccepted:
		default:
			return fmt.Errorf("stop at JupyterHub: %s", resp.Status)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// traits make KubeSpawner create the same pods as ours: image, resources, volumes, user. Nobody's
// password is checked: logins are over before the clock starts.
func traits(like *corev1.Pod) (rig.Traits, error) {
	pod, notebook := like.Spec, like.Spec.Containers[0]
	var volumes []corev1.Volume
	for _, v := range pod.Volumes {
		if v.ConfigMap != nil {
			volumes = append(volumes, v)
		}
		if v.PersistentVolumeClaim != nil {
			volumes = append(volumes, corev1.Volume{Name: v.Name, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "{pvc_name}"}}})
		}
	}
	var mounts []corev1.VolumeMount
	for _, m := range notebook.VolumeMounts {
		for _, v := range volumes {
			if v.Name == m.Name {
				mounts = append(mounts, m)
			}
		}
	}
	plain := map[string]any{}
	for name, value := range map[string]any{
		"volumes": volumes, "volume_mounts": mounts, "pod_security_context": pod.SecurityContext, "container_security_context": notebook.SecurityContext,
	} {
		data, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", name, err)
		}
		plain[name] = json.RawMessage(data)
	}
	spawner := map[string]any{
		"namespace": Namespace, "image": notebook.Image, "image_pull_policy": "IfNotPresent", "port": 8888, "environment": Environment("{username}"), "working_dir": notebook.WorkingDir,
		"storage_pvc_ensure": true, "storage_capacity": "1Gi", "storage_access_modes": []string{"ReadWriteOnce"}, "start_timeout": 300, //nolint:mnd // seconds
		"cpu_guarantee": notebook.Resources.Requests.Cpu().AsApproximateFloat64(), "cpu_limit": notebook.Resources.Limits.Cpu().AsApproximateFloat64(),
		"mem_guarantee": notebook.Resources.Requests.Memory().Value(), "mem_limit": notebook.Resources.Limits.Memory().Value(),
	}
	for name, value := range plain {
		spawner[name] = value
	}
	return rig.Traits{
		"KubeSpawner":        spawner,
		"DummyAuthenticator": {"allow_all": true},
		"JupyterHub": {
			"authenticator_class": "dummy", "services": []any{map[string]any{"name": "bench", "api_token": apiToken}},
			"load_roles": []any{map[string]any{"name": "bench", "services": []string{"bench"}, "scopes": []string{"servers", "admin:servers"}}},
		},
	}, nil
}
