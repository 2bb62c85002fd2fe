// Package app wires the xds-server: its configuration, and the one Run that starts
// the pod watch, the publisher, the ADS service and the status port.
package app
