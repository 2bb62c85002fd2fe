// Package kube is spawn's hands: it starts and stops servers through the
// Kubernetes API, watches their pods and events, and finds out when they answer.
//
// It keeps nothing that a restart would lose: what it knows comes from the cluster, and
// each of its actions may be done twice or by two replicas at once. It judges nothing by
// itself (see spawn) and never touches an object that the spawner did not make, nor
// deletes a home volume.
package kube
