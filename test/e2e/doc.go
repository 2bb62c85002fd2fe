// Package e2e tests the platform that `make up` started: a real cluster, the real
// chart, a real browser. It reads where that is from PERIJOVE_URL (default
// http://localhost:8000) and KUBECONFIG, and leaves the cluster as it found it.
//
// Screenshots of every page go to test/output/e2e.
package e2e
