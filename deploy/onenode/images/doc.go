// Package images packs single programs into container images, reads which images an archive holds, and puts archives into containerd.
//
// There is no registry: an image comes from an archive file or not at all. It never builds anything from sources (package build does).
package images
