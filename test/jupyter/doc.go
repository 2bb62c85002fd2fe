// Package jupyter tests deploy/chart/files/jupyter_server_config.py with the real
// JupyterLab of the notebook image: no cluster, no Envoy, straight at the port.
//
// The first run installs JupyterLab into the user's cache folder.
package jupyter
