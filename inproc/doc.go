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
// Pipe gives the two ends of a connection for those who use package transport
// on its own.
//
// # What is as over a socket
//
// Messages are marshalled by the sender and unmarshalled by the receiver, so
// that neither sees what the other does to its own. The handler's context has
// the client's deadline and metadata, and none of its values; it ends when the
// client cancels, and context.Cause says why. Metadata is checked, and copied.
// A sender waits when a window of octets is not received yet. The limits of
// messages, header lists and streams count. Servers drain, and stop.
//
// # What is not
//
// The octets of a message are handed over, not copied. A message is never
// received in part. There are no PING frames: keepalive, idle timeouts and the
// ages of connections have no effect; neither have buffers, frame sizes and
// windows that follow the bandwidth. Every handler has a goroutine at once, that
// of a unary call one of the Server's workers.
//
// weir.WithHandOver has the messages themselves handed over, and not their
// octets. What they point to is the sender's and the receiver's then.
//
// # Ownership
//
// pipe.mu guards the table of streams, their places and the life of the pipe;
// stream.Mu all that one stream is, both ends of it. The first may be held
// around the second, never the other way round. Nothing is called with a lock
// held that is the user's.
package inproc
