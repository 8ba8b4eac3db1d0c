// Package transport runs gRPC streams over one HTTP/2 connection, as client or
// as server. It takes a net.Conn that is dialed and secured already.
//
// # Usage
//
// A client makes a ClientTransport with NewHTTP2Client. It makes unary calls with
// RoundTrip, and opens streams with NewStream. A server makes a ServerTransport with
// NewServerTransport for each connection that it accepts, and handles its streams
// with HandleStreams, or with StartStreams, which does not wait. Messages are octets
// here: what they mean, and whether they are compressed, is the caller's business.
//
//	ct, err := transport.NewHTTP2Client(ctx, nc, transport.ClientConfig{})
//	if err != nil {
//		return err // nc is closed
//	}
//	request := transport.NewBuffer(len(octets))
//	copy(request.Bytes(), octets)
//	var reply transport.Reply
//	defer reply.Free()
//	err = ct.RoundTrip(ctx, &transport.Call{Method: "/package.Service/Method"}, request, &reply)
//
// # Other transports
//
// ClientTransport, ServerTransport, ClientStream and ServerStream have
// implementations in other packages, such as inproc. They are frozen: they get no
// more methods. To implement them, use Buffer.Message, Reply.Fill, ServerContext
// and ContextError, and pass the ends to weir.WithTransport and to ServeTransport of
// a weir.Server. A stream may be a SendWaiter, too.
//
// # Errors
//
// A connection ends with a *ConnError, a stream that fails with a
// *StreamError. Both say who ended it (By) and with what code. A StreamError
// is a gRPC status, too; Unprocessed says that the server has certainly not
// acted on the call.
//
// # Goroutines and ownership
//
// A connection has one goroutine of its own: the reader, which on a server may
// be the one that called HandleStreams. Another takes its place when nothing was
// read for a while. Whoever has something to send takes the writer's turn.
//
//	reader         frame.Reader, field.Decoder, octets received (checked against what
//	               was granted); waits for the socket only
//	conn.mu        stream ids, field.Encoder, stream table, send windows, pending
//	               chunks, lifetime: held for encoding, never for I/O
//	writer's turn  one holder at a time: drains controlBuffer, gives blocked streams
//	               their round, writes to the socket; whoever would have to wait for
//	               the socket hands the turn to a goroutine that may (conn.writeOn)
//	controlBuffer  what the peer provokes: acks, resets, window updates, bounded in
//	               octets
//	stream.in      its own lock: messages received and not taken, stream credit, how
//	               the stream ended; conn.mu may be held around it, never the other
//	               way round
//	chain          its own lock: unary requests that wait for their handler
//
// # Limitations
//
// There is no server push, there are no stream priorities, and there is no
// HTTP/1. A connection that ends is not made again here: a weir.Client does that.
package transport
