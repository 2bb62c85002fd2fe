// Package spawn owns what a server is made of and how far it is: the profile, the
// desired pod, home volume and secret, and the judgement of a pod's status and events
// in plain steps.
//
// It is pure: values in, values out; no client, no clock, no logger. spawn/kube calls
// the cluster, and web turns message ids into sentences.
//
// Objects and the order they are written in (each write may be the last one before a
// kill):
//
//  1. PersistentVolumeClaim claim-<user>: one per user, outlives every pod, never
//     deleted by this platform. Alone it is an empty home, reused by the next start.
//  2. Pod jupyter-<server>: its fixed name makes a second create fail instead of
//     doubling it. Alone it waits in CreateContainerConfigError for its secret, which
//     every spawner replica creates for any pod that lacks one.
//  3. Secret <pod>-<nonce>: owned by the pod, so Kubernetes deletes it with the pod.
//     The nonce in its name keeps a new pod from reading the secret of its
//     predecessor, which is collected some time after the predecessor is gone.
//
// So there is no moment at which a kill leaves something that the next start does not
// finish, or that nobody would remove.
package spawn
