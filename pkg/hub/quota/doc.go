// Package quota owns what users may have at one time and within a week or month, what they
// have, and whether they may have more: the rules, the records, and the judgement.
//
// It is pure: values in, values out. Package kube keeps the records in the cluster; package
// spawn reads the rules and knows what a server takes. It never judges by a list of pods:
// a record is the whole truth about its subject, and changes as a whole.
package quota
