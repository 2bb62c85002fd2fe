// Package announce owns what administrators say to everybody: a text in one or two languages, how
// grave it is and until when it is shown.
//
// It holds values and pure functions. Package board keeps them in the cluster, package web shows
// them.
package announce
