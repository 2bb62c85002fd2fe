// Package plan decides what is mounted on the target of a late home, and which folder that is. Pods, claims, volumes and
// the text of a mountinfo come in; steps, a place or a refusal go out.
//
// No step removes a file: the only one that removes anything is rmdir(2) of a folder that must be empty.
package plan
