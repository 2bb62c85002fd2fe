// Package output is what the image builder prints, as the program that runs it reads it.
package output

// Image is one image as it lies in the cache or in a registry; the builder prints a JSON list of them.
type Image struct {
	Name    string `json:"name"`    // repository: "perijove/authz"
	Tag     string `json:"tag"`     // hash of its inputs
	Archive string `json:"archive"` // docker-archive, one image
	New     bool   `json:"new"`     // false: found in the cache
}

// Progress begins the lines of the error stream that say how far the builder is. The others are what its programs print.
const Progress = "progress: "
