// Package tuning computes flow-control windows for a network path whose round-trip
// time and bandwidth are known. weir finds them out by itself; this is for programs
// that cannot wait for that.
//
// By default windows begin with 128 KiB for a stream and 256 KiB for a connection,
// and follow the path within a few round trips, up to 16 MiB. That is right nearly
// always. It is not right where the first seconds count, as on short-lived
// connections over a long path, nor where a single stream has to fill a path that
// holds more than 16 MiB.
//
// A window bounds what the other side sends. So a Client's option is about the
// answers of servers, and a Server's about the requests of clients.
package tuning
