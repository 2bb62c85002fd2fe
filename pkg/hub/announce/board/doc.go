// Package board keeps what administrators say to everybody in one ConfigMap, which all spawner
// replicas follow.
//
// Its name begins as those of users' records do: the spawner may write such ConfigMaps and no
// others. It decides nothing about a message (package announce does).
package board
