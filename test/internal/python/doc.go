// Package python installs programs of other projects for tests, in versions that are pinned by hash,
// once per version and user.
package python
