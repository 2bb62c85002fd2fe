// Package web owns the look and the words of the platform's pages: the HTML templates, the
// style sheet and script under /hub/static/, and every sentence in English and Simplified
// Chinese.
//
// A page is a struct of this package (Login, Home, Spawn, Pending, Message, Logout, Token,
// Sessions). A handler fills it in and gives it to a Renderer. Handlers name texts by message
// ids (locales/*.json) and never build sentences. JSON answers programs, with the same
// headers against caching and content sniffing.
//
// The package decides nothing: it has no sessions, no cluster, no clock. html/template
// escapes all values; ready-made HTML cannot be passed in.
package web
