// Package tokens owns API tokens as values: how one is made and hashed, what its scopes
// mean (JupyterHub's words), and which scope each path of the REST API needs.
//
// It stores nothing and asks no other service: pkg/auth/account keeps the hashes. A scope only ever
// narrows: what the owner may do is judged at every use, beside it (S13). What it does
// not know it refuses.
package tokens
