package weir

import (
	"context"

	"google.golang.org/grpc"
)

// UnaryInterceptor sets the outermost interceptor of unary calls: those of
// ChainUnaryInterceptor are inside it. As in grpc-go, NewServer panics if it is
// set twice.
func UnaryInterceptor(i grpc.UnaryServerInterceptor) ServerOption {
	return serverOption(func(c *serverConfig) {
		if c.unaryOutermost != nil {
			panic("weir: UnaryInterceptor is set twice (ChainUnaryInterceptor takes any number)")
		}
		c.unaryOutermost = i
	})
}

// ChainUnaryInterceptor adds interceptors of unary calls, each inside the one
// before it; the last is next to the handler.
func ChainUnaryInterceptor(is ...grpc.UnaryServerInterceptor) ServerOption {
	return serverOption(func(c *serverConfig) {
		c.unaryChain = append(c.unaryChain, chained(&c.fault, "ChainUnaryInterceptor", is)...)
	})
}

// StreamInterceptor sets the outermost interceptor of streaming calls: those of
// ChainStreamInterceptor are inside it. As in grpc-go, NewServer panics if it
// is set twice.
func StreamInterceptor(i grpc.StreamServerInterceptor) ServerOption {
	return serverOption(func(c *serverConfig) {
		if c.streamOutermost != nil {
			panic("weir: StreamInterceptor is set twice (ChainStreamInterceptor takes any number)")
		}
		c.streamOutermost = i
	})
}

// ChainStreamInterceptor adds interceptors of streaming calls, each inside the
// one before it; the last is next to the handler.
func ChainStreamInterceptor(is ...grpc.StreamServerInterceptor) ServerOption {
	return serverOption(func(c *serverConfig) {
		c.streamChain = append(c.streamChain, chained(&c.fault, "ChainStreamInterceptor", is)...)
	})
}

// chainInterceptors makes one interceptor of each kind, or none.
func (c *serverConfig) chainInterceptors() (unary grpc.UnaryServerInterceptor, stream grpc.StreamServerInterceptor) {
	unaries, streams := c.unaryChain, c.streamChain
	if c.unaryOutermost != nil {
		unaries = append([]grpc.UnaryServerInterceptor{c.unaryOutermost}, unaries...)
	}
	if c.streamOutermost != nil {
		streams = append([]grpc.StreamServerInterceptor{c.streamOutermost}, streams...)
	}
	return joinAll(unaries, joinUnary), joinAll(streams, joinStream)
}

// joinAll joins interceptors from the innermost outwards.
func joinAll[I any](is []I, join func(outer, inner I) I) (joined I) {
	if len(is) == 0 {
		return joined
	}
	joined = is[len(is)-1]
	for n := len(is) - 2; n >= 0; n-- {
		joined = join(is[n], joined)
	}
	return joined
}

// joinUnary makes one interceptor of two, which costs a call one closure.
func joinUnary(outer, inner grpc.UnaryServerInterceptor) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return outer(ctx, req, info, func(ctx context.Context, req any) (any, error) {
			return inner(ctx, req, info, handler)
		})
	}
}

// joinStream makes one interceptor of two, which costs a call one closure.
func joinStream(outer, inner grpc.StreamServerInterceptor) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		return outer(srv, ss, info, func(srv any, ss grpc.ServerStream) error {
			return inner(srv, ss, info, handler)
		})
	}
}
