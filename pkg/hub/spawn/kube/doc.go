// Package kube keeps servers in Kubernetes: it starts and stops them through the API,
// watches their pods and events, and finds out when they answer.
//
// It keeps nothing that a restart would lose: what it knows comes from the cluster, and
// each of its actions may be done twice or by two replicas at once. What a pod's state
// means and what to do about it is decided in package spawn. It never touches an object
// that the spawner did not make, and never deletes a home volume.
package kube
