// Package traffic remembers when a user last did something at each server, for the spawner: a
// program that is not Jupyter cannot be asked whether it is in use.
//
// It is told what authz sees anyway: opened pages, requests that change something, input on
// websockets. What an open page asks for by itself is none of these. It remembers in memory, and says since
// when: a replica that has just started knows nothing, and must not make a server look idle. It never
// says who came.
package traffic
