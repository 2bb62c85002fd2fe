// Package visitor is a person with a browser: logs in, presses Start, follows the progress and
// opens the server, at Perijove or at JupyterHub, whose pages are alike. It does again what was
// refused, as people do, and counts every refusal.
//
// It runs no script of a page and loads no picture or style sheet.
package visitor
