// Package shares says how full nodes are and how much they differ: by what pods request, and, by the
// two formulas of He, Zhang and Liu ("Microservice Architecture for Jupyter-Based Interactive Analysis
// Platform", Computer Systems & Applications 28(8), 2019, section 4), by what containers use.
//
// It is pure: values in, values out. It asks no cluster and draws nothing.
package shares
