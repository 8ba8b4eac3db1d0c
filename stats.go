package weir

import (
	"context"
	"slices"

	"google.golang.org/grpc/stats"
)

// WithStatsHandler adds a handler that is told of every connection and of every
// attempt of every call. The context that its TagRPC gives, with its outgoing
// metadata, is that of the attempt. The events of an attempt come in the order
// Begin, DelayedPickComplete if it had to wait for a connection, OutHeader,
// then OutPayload beside InHeader and InPayload, InTrailer, End; those of one
// direction come one at a time. They come from the goroutines of the caller,
// never from the one that reads the connection. The WireLength of headers and
// trailers is zero.
func WithStatsHandler(h stats.Handler) DialOption {
	return dialOption(func(c *clientConfig) { c.stats = c.stats.with(h) })
}

// StatsHandler adds a handler that is told of every connection and every call.
// The contexts that its TagRPC gives are those of the calls' handlers. The
// events of a call come in the order InHeader, Begin, then InPayload beside
// OutHeader and OutPayload, OutTrailer, End. A call of a method that is not
// registered has no Begin and no End, as in grpc-go. The WireLength of headers
// and trailers is zero.
func StatsHandler(h stats.Handler) ServerOption {
	return serverOption(func(c *serverConfig) { c.stats = c.stats.with(h) })
}

// statsHandlers are handlers that hear the same. Nil is none.
type statsHandlers []stats.Handler

func (hs statsHandlers) with(h stats.Handler) statsHandlers {
	if h == nil {
		return hs
	}
	return append(slices.Clip(hs), h)
}

// handler gives the one that tells all, or nil.
func (hs statsHandlers) handler() stats.Handler {
	switch len(hs) {
	case 0:
		return nil
	case 1:
		return hs[0]
	}
	return hs
}

// TagRPC implements stats.Handler.
func (hs statsHandlers) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	for _, h := range hs {
		ctx = h.TagRPC(ctx, info) //nolint:fatcontext // as deep as there are handlers
	}
	return ctx
}

// HandleRPC implements stats.Handler.
func (hs statsHandlers) HandleRPC(ctx context.Context, s stats.RPCStats) {
	for _, h := range hs {
		h.HandleRPC(ctx, s)
	}
}

// TagConn implements stats.Handler.
func (hs statsHandlers) TagConn(ctx context.Context, info *stats.ConnTagInfo) context.Context {
	for _, h := range hs {
		ctx = h.TagConn(ctx, info) //nolint:fatcontext // as deep as there are handlers
	}
	return ctx
}

// HandleConn implements stats.Handler.
func (hs statsHandlers) HandleConn(ctx context.Context, s stats.ConnStats) {
	for _, h := range hs {
		h.HandleConn(ctx, s)
	}
}
