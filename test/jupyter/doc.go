// Package jupyter tests what the chart mounts into servers (deploy/chart/files) with the real
// JupyterLab of the notebook image: no cluster, no Envoy, straight at the port.
//
// The first run installs JupyterLab into the user's cache folder.
package jupyter
