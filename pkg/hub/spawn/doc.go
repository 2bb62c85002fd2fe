// Package spawn owns what a server is made of and how far it is: the profile that a user
// may choose, the desired pod, home volume and secret, the judgement of a pod's status and
// events in plain steps, and what a start does next.
//
// It is pure: values in, values out; no client, no clock, no logger. Package kube calls
// the cluster; package web turns message ids into sentences.
//
// Objects and the order they are written in (each write may be the last one before a
// kill):
//
//  1. PersistentVolumeClaim home-<user>, or home-<user>--<server> where servers have homes
//     of their own: outlives every pod, grows, and is deleted only with its user, where that is
//     said. Alone it is an empty home, reused by the next start.
//  2. Pod server-<server>: its fixed name makes a second create fail instead of
//     doubling it. Alone it waits for its secret, which every spawner replica
//     creates for any pod that lacks one: in CreateContainerConfigError, or, when its
//     certificate is a volume of that secret, with FailedMount events.
//  3. Secret <pod>-<nonce>: owned by the pod, so Kubernetes deletes it with the pod.
//     The nonce in its name keeps a new pod from reading the secret of its
//     predecessor, which is collected some time after the predecessor is gone.
//
// Before all that a start may wait for a place, as an entry of its owner's record (quota.Wait),
// which any replica takes up and which goes when the pod is there.
//
// So a kill at any moment leaves nothing that the next start does not finish or that
// Kubernetes does not remove.
package spawn
