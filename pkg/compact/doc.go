// Package compact owns the strict form of JOSE compact values (RFC 7515 §3.1, RFC 7516
// §3.1): one token has one spelling.
//
// It judges the form only and knows no key. Decoders of base64 ignore spare bits and
// line breaks, so that a sealed or signed value would have many spellings, each of them
// genuine to a library and different to a list or a cache.
package compact
