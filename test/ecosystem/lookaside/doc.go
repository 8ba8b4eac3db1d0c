// Package lookaside has the tests of grpc-go's balancers that ask a server where
// calls are to go: grpclb and RLS. Both register themselves and connect to that
// server with grpc-go; the calls go over weir's connections.
package lookaside
