// Package homes is the room of the CSI driver for late homes: a pod starts with an empty folder, and gets its user's
// home into that folder when the spawner has claimed the pod.
//
// plan decides what is mounted where, mount does it, claims asks the Kubernetes API, and node answers the kubelet. The
// room starts no pod, writes no file of a home and deletes none.
package homes
