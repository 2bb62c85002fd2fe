// Package profiles owns the list of profiles as it is now: read from a ConfigMap and followed
// while the spawner runs. A list that is wrong is told (log, Event, metric), and the last good
// one stays in force, so that a typing error stops no start.
//
// It never judges a profile, which package spawn does, and never writes the ConfigMap.
package profiles
