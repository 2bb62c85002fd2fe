// Package layout owns every path and name that the nodes use on their machine, so that what `up` makes and what `down` removes cannot differ.
//
// It is pure: it joins strings and touches no disk. All paths lie under two folders: State (removed by `down`) and Cache (builds, kept by `down`).
package layout
