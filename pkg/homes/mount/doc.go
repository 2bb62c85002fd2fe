// Package mount makes the steps of a plan true on this machine, and says what is there. It owns all system calls of the
// driver; it decides nothing, and knows neither pods nor claims.
//
// A folder below an export is opened once, by openat2(2), which follows no link and leaves no export; what is mounted is
// that open folder, not its name. A name that becomes a link meanwhile changes nothing.
package mount
