// Package encoding owns the choice of a content coding: what a client accepts. It compresses nothing.
package encoding
