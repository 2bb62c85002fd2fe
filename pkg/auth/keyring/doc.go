// Package keyring finds the files that hold keys, puts them in order, and says when that
// changes, so that keys are rotated while the services run and no user is logged out.
//
// A file whose name holds a moment (session-20261121T1700Z.key) is a key that begins to
// seal ten minutes after it: until then every replica has it and can open what it seals.
// So rotating is one step, adding a file; nothing has to be moved at the right time on
// all replicas. The package never looks into a file and keeps no key.
package keyring
