// Package podlog turns what a server wrote into a text for its user's page.
//
// It owns how much of a log is shown, and what of it is hidden: programs write tokens and passwords
// into logs, and pages end up on screens that are shared and in questions to colleagues. It never
// reads a log itself, and it does not promise to find every secret.
package podlog
