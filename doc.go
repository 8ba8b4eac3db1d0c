// Package weir runs gRPC services over a transport of its own.
//
// NewClient and NewServer take the place of grpc.NewClient and grpc.NewServer.
// Everything else stays: the code that protoc-gen-go-grpc generates, status
// codes, metadata, credentials, codecs and compressors are those of
// google.golang.org/grpc, and options have its names, meanings and defaults, but
// for what docs/migrating.md says.
//
// The transport itself is the package transport, which stands alone.
package weir
