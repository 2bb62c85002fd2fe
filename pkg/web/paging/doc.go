// Package paging owns JupyterHub's pages of long lists: which part of a list a request of the REST API
// asks for, and the answer that says where the next part is.
//
// It knows no list. A service's handler hands it the part that was asked for.
package paging
