// Package redirect judges where a page may send a browser after a login, a form or
// a progress page: Safe accepts absolute paths on our own origin and nothing else.
//
// It never repairs a value: it refuses every value that is not plainly safe, and the caller
// falls back to its own default page. It never decides whether the visitor may
// open the path.
package redirect
