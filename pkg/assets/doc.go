// Package assets owns the files of JupyterLab that all servers of an image share: how an image holds
// them, compressed and below the digest of their content, and how they are served.
//
// It serves exactly the bytes that a digest names. It never follows a link, never lists a folder, never
// compresses while it serves, and knows no user: anybody may ask for these files.
package assets
