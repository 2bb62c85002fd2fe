// Package traffic knows when users last did something at servers, as all replicas of authz saw it: what
// Envoy lets through is the only trace of the use of a program that is not Jupyter.
//
// client.go asks every authz twice a minute, ledger.go adds up. It never says that a server is idle: it says
// until when it would have seen use, and says nothing while one replica does not answer. A replica that is
// gone has taken with it what came after its last answer, so the time begins anew.
package traffic
