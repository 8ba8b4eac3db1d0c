// Package scenario has nothing but tests: what an xDS control plane can tell a
// client, and what the client does then. Each is run with grpc-go's client too,
// which shows that the config is right.
package scenario
