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
// The connection and its HTTP/2 are net/http's: how it is secured, flow
// control, keepalive, the number of streams (http.Server.HTTP2) and the size of
// headers (http.Server.MaxHeaderBytes). So the Server's options about these
// have no effect, and neither have those about listeners. Trailers with keys
// that net/http does not allow there, such as "authorization" and those that
// begin with "content-", are lost, and a Trailers-Only response has a
// content-length. weir.SendMsgContext and weir.TrySend wait as SendMsg does.
// All of it is slower than Server.Serve.
//
// # Ends
//
// A call ends when its handler returns. The context of the handler ends with
// its deadline, with the request's context, and with Stop of the Server; what
// the handler reads or writes then fails. But the client hears of the end only
// when the handler returns. GracefulStop and Shutdown of the Server wait for
// its calls. http.Server.Shutdown closes the connections; call it before or
// after them.
//
// The handler's context has the values of the request's context, so that what
// wraps the http.Handler can add some. A panic of a handler goes to net/http,
// which logs it and goes on, where Server.Serve ends the process.
//
// What wraps the http.ResponseWriter should have a method Unwrap, as
// http.ResponseController wants it. Without it, a handler that sends to a client
// which does not receive waits until the request ends, whatever its deadline is.
//
// # Locks
//
// stream.Mu guards what is known of a stream, and is never held while something
// waits. stream.writing is held to use the http.ResponseWriter; Mu may be taken
// under it, never the other way round.
package servehttp
