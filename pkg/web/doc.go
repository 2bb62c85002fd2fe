// Package web owns what people see: the HTML templates, the style sheet and script
// under /hub/static/, and every sentence in English and Simplified Chinese.
//
// A page is a struct of this package (Login, Home, Spawn, Pending, Message, Logout);
// whoever answers a request fills it in and hands it to a Renderer. Texts are named
// by message ids (locales/*.json) so that callers never build sentences.
// Programs get JSON, with the same headers against keeping and guessing.
//
// It never decides anything: no sessions, no cluster, no clock. Values are escaped by
// html/template; there is no way to pass ready-made HTML in.
package web
