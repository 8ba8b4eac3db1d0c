package transport

// unreadLimit is how many octets may wait for the socket when a stream is opened,
// by a server's client or a client's call. Messages wait in their streams, but
// headers and statuses need no credit: without a bound a peer that asks, or is
// asked, and does not read would gather them.
const unreadLimit = 16 * highWater

// hasPlaceLocked reports whether the client may open another stream.
//
// An answer holds its place until it is on its way to the socket, not only
// until it is framed: so a client that asks and does not read is refused.
// It holds it no longer than that either, for a client may use the place again
// as soon as it has read the end of the answer.
func (s *http2Server) hasPlaceLocked() bool {
	return uint64(s.open)+uint64(s.out.ends) < uint64(s.cfg.maxConcurrentStreams()) && s.out.size < unreadLimit
}

// removedLocked frees the place of a stream whose handler has returned or has
// ended the answer itself. A handler that the client has left, or its deadline,
// keeps its place until it returns: else a client that resets its streams, or
// gives them no time, would have as many handlers as it likes.
func (s *http2Server) removedLocked(st *stream) {
	if ss := st.server; ss.done || st.out.sentEnd && !ss.expired && !ss.aborted {
		s.freePlaceLocked(st)
	}
}

// freePlaceLocked frees the place of a stream that has left the table, or
// leaves it to what of its answer waits for the socket.
func (s *http2Server) freePlaceLocked(st *stream) {
	if st.server.placeless {
		return
	}
	st.server.placeless = true
	s.open--
	if st.out.sentEnd && st.out.batch == s.batch {
		s.out.ends++
	}
}
