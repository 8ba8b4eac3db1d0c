// Package tuning computes what weir finds out by itself, for programs that know
// it beforehand: the flow-control windows of a way whose round-trip time and
// bandwidth are known.
//
// Without it windows begin with 128 KiB for a stream and 256 KiB for a
// connection, and follow the way within a few round trips, up to 16 MiB. That is
// right nearly always. It is not where the first seconds count, as on short-lived
// connections over a long way, nor where a single stream has to fill a way that
// holds more than 16 MiB.
//
// A window bounds what the other side sends. So a Client's option is about the
// answers of servers, and a Server's about the requests of clients.
package tuning
