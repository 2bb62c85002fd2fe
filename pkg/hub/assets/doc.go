// Package assets owns what the spawner knows of the assets service: which images' files of JupyterLab
// are served, and which of them a first page loads. It serves no file itself.
package assets
