// Package identity owns the rule that says whether two logins are of one person: by what a
// directory or a provider never changes and never gives to another person, not by a name. A
// name that is given to a new person must not open the old person's account (L9, O9).
//
// It compares values. It never asks a directory or a provider and never writes an account.
package identity
