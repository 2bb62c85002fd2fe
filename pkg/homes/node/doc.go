// Package node answers the kubelet: the CSI node plugin of home.perijove.dev, and its registration. It brings plan, mount
// and claims together, one call at a time for each target.
//
// It keeps no state. What is mounted is asked of the kernel in each call, so that a driver that was killed at any step
// goes on there.
package node
