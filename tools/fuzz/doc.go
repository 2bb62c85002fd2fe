// Command fuzz lets every fuzz target of the tree search for a given time. go test alone runs
// their seeds only.
//
// An input that fails stays in the package's testdata/fuzz, where go test runs it from then on:
// commit it with the mend. The command goes on to the next target after a failure and ends with
// a table of processor times.
package main
