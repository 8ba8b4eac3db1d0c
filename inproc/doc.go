// Package inproc is gRPC within one process: calls between a weir Client and a
// weir Server without a socket and without HTTP/2.
//
// # Usage
//
// NewClient gives a Client of a Server, which is all that most tests need:
//
//	srv := weir.NewServer()
//	greeter.RegisterGreeterServer(srv, impl)
//	client, err := inproc.NewClient(srv)
//
// Pipe gives the two ends of a connection, for those who use package transport
// on its own.
//
// # What is the same as over a socket
//
// Messages are marshalled by the sender and unmarshalled by the receiver, so
// that neither sees what the other does to its own. The handler's context has
// the client's deadline and metadata, and none of its values; it ends when the
// client cancels, and context.Cause says why. Metadata is checked, and copied.
// A sender waits while a window of octets has not been received yet. The limits
// of messages, header lists and streams hold. Servers drain, and stop.
//
// # What differs
//
// The octets of a message are handed over, not copied. A message is never
// received in part. There are no PING frames: keepalive, idle timeouts and the
// ages of connections have no effect, nor have options about buffers and frame
// sizes, and windows do not follow the bandwidth. Every handler has a goroutine
// at once, that of a unary call one of the Server's workers.
//
// With weir.WithHandOver the messages themselves are handed over, and not their
// octets. What they point to then belongs to the sender and the receiver.
//
// # Ownership
//
// pipe.mu guards the table of streams, their places and the life of the pipe;
// stream.Mu guards all that one stream is, both ends of it. The first may be
// held around the second, never the other way round. Nothing of the user's is
// called with a lock held.
package inproc
