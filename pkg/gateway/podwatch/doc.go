// Package podwatch owns the watch on labelled pods: it tells a Sink about each pod
// that carries the server label, and when it is gone or loses the label.
//
// It reads no label's meaning (see podmeta) and never writes to the API. When the
// API cannot be reached the Sink hears nothing, so published routes stay.
package podwatch
