// Command mutate changes the code of the packages that judge, a comparison or a sign at a
// time, and runs their tests on each change (gremlins). A change that no test notices is a test
// that is missing: it must be killed by a new test or explained in explained.txt.
//
// It fails when a package has a survivor without an explanation, when fewer than 95 % of its
// covered changes are killed, and when an explanation explains nothing any more. It never
// changes the tree: gremlins works on a copy.
package main
