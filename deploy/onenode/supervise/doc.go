// Package supervise keeps the parts of the node running: it starts each when those before it are ready, watches that it works, and starts it again when it ends.
//
// It decides nothing about what the parts are (package parts does) and removes nothing from the machine (package cleanup does). Its state can be
// asked over a Unix socket that only root may open.
package supervise
