// Package build turns the module deploy/onenode/programs (go.mod, go.sum and the mains of the parts) into programs and images in the cache folder.
//
// A build is named by the hash of its sources, so a second `up` builds nothing and another version never runs a wrong mixture. It needs the Go toolchain and a
// module proxy; it starts nothing and knows nothing of the state folder.
package build
