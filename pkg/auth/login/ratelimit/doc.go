// Package ratelimit slows password guessing without locking out the account's owner.
//
// It counts failures for three things: one source (an IPv4 address or an IPv6 /64) that
// tries one account, one source, one account. Each may fail a few times at once and then
// at a slow, steady rate; a success costs nothing. A browser that has logged in to the
// account before is counted on its own, so that neither guesses from elsewhere nor those
// of neighbours behind the same address keep the account's owner out.
//
// An attempt counts as a failure until its password was checked, or a thousand guesses at
// one time would all pass. When such undecided attempts alone fill a count, the next one
// waits for them: a class behind one address has right passwords.
//
// Counts are in the memory of one replica and are bounded: with n replicas an attacker
// gets up to n times the guesses, and a restart forgets. The package never asks a directory,
// never keeps a name or an address (only hashes of them) and never decides who a user is.
package ratelimit
