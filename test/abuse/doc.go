// Package abuse owns attacks as data, and the code that puts them on the wire exactly as
// they are written: raw HTTP/1.1 and single frames of HTTP/2, since a client library
// would clean an attack before it is sent.
//
// It never decides where attacks run and knows no test harness: test/dataplane runs them
// against the real Envoy and services. Each attack names the row of the specification
// that it belongs to, what must come back, and its honest twin: the same request as
// somebody would send it who may, which must get through, so that a broken road does not
// look like a guard.
package abuse
