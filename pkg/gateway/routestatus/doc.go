// Package routestatus owns the question "can users reach this server yet?" that
// the spawner asks every xds-server: its wire form, the client, and the handler
// over whoever knows (a Source).
//
// It never knows how ACKs are counted (see ads) and never retries a spawn.
package routestatus
