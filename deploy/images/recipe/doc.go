// Package recipe says what each image is made of: which files, which user, which
// command. A recipe names its inputs, so that an image whose inputs have not changed
// is not made again; it never decides where images are kept or who uses them.
package recipe
