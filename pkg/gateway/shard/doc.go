// Package shard owns which of several gateways has whose routes, where one Envoy cannot hold all.
//
// It is pure, and keeps no list: a shard is a number that anybody computes from the path of a
// request. envoy/front.yaml does it for each request, the xds-server for each route. It says
// nothing of who may enter: a gateway without a route refuses, whoever asks it.
package shard
