// Package app brings the whole platform up on one machine or on a cluster, and down
// again: it installs what is missing, chooses the cluster, builds, loads, installs the
// chart and waits until the platform answers.
//
// It holds no knowledge of manifests (that is deploy/chart), of image contents (that
// is deploy/images) or of how a node works (that is deploy/onenode): it runs those.
package app
