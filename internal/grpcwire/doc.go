// Package grpcwire is gRPC on the wire of HTTP/2: message prefixes,
// compression, status, timeouts, metadata, and the tables that turn other
// protocols' codes into gRPC's. It turns octets and strings into values and
// back, and holds nothing.
//
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
package grpcwire
