// Package devices gives the node devices that do not exist: a few GPUs, and parts of GPUs. Pods ask for them and wait for them as on a
// machine that has some, since the kubelet learns of them by its real device-plugin API (k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1).
//
// It owns what a resource's devices are called and which one a container is told that it has. It never makes a device file: a program that
// looks for a GPU finds none.
package devices
