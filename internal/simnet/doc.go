// Package simnet is a network for tests: connections with a round-trip time, a
// rate, a buffer, loss and cables that can be pulled.
//
// It runs on whatever clock is current. In a testing/synctest bubble that is
// fake time, so tests say to the millisecond when something arrives, and take
// no time themselves. It starts no goroutine: arrival times are computed when
// octets are written, and readers wait for them.
//
// What is used in a bubble has to be made in that bubble.
package simnet
