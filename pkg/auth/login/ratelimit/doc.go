// Package ratelimit slows down who guesses passwords, and nobody else.
//
// It counts failures for three things: one source (an IPv4 address or an IPv6 /64) that
// tries one account, one source, one account. Each may fail a few times at once and then
// at a slow, steady rate; a success costs nothing. A browser that has logged in to the
// account before is counted on its own, so that neither guesses from elsewhere nor those
// of neighbours behind the same address keep its person out.
//
// Counts are in the memory of one replica and are bounded: with n replicas an attacker
// gets up to n times the guesses, and a restart forgets. It never asks a directory, never
// keeps a name or an address (only hashes of them) and never decides who somebody is.
package ratelimit
