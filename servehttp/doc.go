// Package servehttp puts a weir Server behind net/http: gRPC and whatever else
// an http.Handler does on one port.
//
// # Usage
//
//	rpc := servehttp.Handler(srv)
//	http.ListenAndServeTLS(addr, cert, key, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
//		if servehttp.IsGRPC(r) {
//			rpc.ServeHTTP(w, r)
//			return
//		}
//		rest.ServeHTTP(w, r)
//	}))
//
// The http.Server has to speak HTTP/2. It does so over TLS of itself; without
// TLS its Protocols must have SetUnencryptedHTTP2(true).
//
// # What is net/http's
//
// The connection and its HTTP/2 are net/http's: how it is secured, flow control,
// keepalive, the number of streams (http.Server.HTTP2) and the size of headers
// (http.Server.MaxHeaderBytes). So the Server's options about these have no
// effect, and neither have those about listeners. A trailer whose key net/http
// does not take as one, such as "authorization" or those that begin with
// "content-", is lost, and a Trailers-Only response has a content-length.
// weir.SendMsgContext and weir.TrySend have no bound. It is slower than
// Server.Serve.
//
// # Ends
//
// A call ends when its handler returns. The context of the handler ends with
// its deadline, with the request's context, and with Stop of the Server; what
// it reads or writes then fails. Until it returns the client knows no more than
// its own clock tells it. GracefulStop and Shutdown of the Server wait for its
// calls; the connections are for http.Server.Shutdown to close, which comes
// first or second as you like.
//
// Its values are those of the request's context, so that what wraps the
// http.Handler can add some. A panic of a handler is net/http's to deal with,
// which logs it and goes on, where Server.Serve ends the process.
//
// # Locks
//
// stream.Mu guards what is known of a stream, and is never held while something
// waits. stream.writing is held to use the http.ResponseWriter; Mu may be taken
// under it, never the other way round.
package servehttp
