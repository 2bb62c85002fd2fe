// Package pki makes the certificates of the node: an authority each for the cluster, for etcd and for the front proxy, a serving or client certificate for
// each part, and the key that signs service-account tokens.
//
// Make is pure but for randomness (the time is passed in); Write puts the files down with mode 0600. No part ever skips verification.
package pki
