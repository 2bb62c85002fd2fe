// Package chart holds the Helm chart, the only manifests of the platform, and its
// tests. There is no code here.
package chart
