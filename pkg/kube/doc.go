// Package kube owns how a service reaches the Kubernetes API: in-cluster
// credentials or a kubeconfig, our user agent, and limits that suit a controller.
package kube
