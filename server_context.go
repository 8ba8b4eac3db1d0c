package weir

import (
	"context"
	"strings"
	"time"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// streamKey is the context key of the transport's stream.
type streamKey struct{}

// serverTransportStreamKey is the key under which grpc-go looks for its
// grpc.ServerTransportStream, learned from its getter.
var serverTransportStreamKey = func() any {
	var spy spyContext
	grpc.ServerTransportStreamFromContext(&spy)
	return spy.key
}()

// contextValue answers, for the context of a handler, what grpc.SetHeader,
// SendHeader, SetTrailer and Method ask for.
func contextValue(st transport.ServerStream, key any) any {
	switch key {
	case serverTransportStreamKey:
		return &serverTransportStream{st: st}
	case streamKey{}:
		return st
	}
	return nil
}

// serverTransportStream is a grpc.ServerTransportStream. It embeds the
// interface so that methods which grpc-go adds do not break the build.
type serverTransportStream struct {
	grpc.ServerTransportStream
	st    transport.ServerStream
	stats *callStats // nil if nobody asks
}

func (s *serverTransportStream) Method() string                  { return s.st.Method() }
func (s *serverTransportStream) SetHeader(md metadata.MD) error  { return s.st.SetHeader(md) }
func (s *serverTransportStream) SetTrailer(md metadata.MD) error { return s.st.SetTrailer(md) }

func (s *serverTransportStream) SendHeader(md metadata.MD) error {
	err := s.st.SendHeader(md)
	if err == nil {
		s.stats.outHeader()
	}
	return err
}

// SetSendCompressor makes name the compressor of a handler's answer: one that
// is registered and that the client accepts, or "identity". It must be called
// before headers or a message are sent. grpc.SetSendCompressor works only on
// grpc-go's own transport, this one only on weir's.
func SetSendCompressor(ctx context.Context, name string) error {
	st, ok := ctx.Value(streamKey{}).(transport.ServerStream)
	if !ok {
		return status.Error(codes.Internal, "weir: SetSendCompressor: the context is not that of a handler on a weir Server")
	}
	if name != encoding.Identity {
		if encoding.GetCompressor(name) == nil {
			return status.Errorf(codes.Internal, "weir: SetSendCompressor: the server has no compressor %q (%s)", name, compressorHint(name))
		}
		if !st.AcceptsEncoding(name) {
			return status.Errorf(codes.Internal, "weir: SetSendCompressor: the client does not accept %q (its grpc-accept-encoding is %q)", name, st.AcceptEncoding())
		}
	}
	return st.SetSendCompress(name)
}

// ClientSupportedCompressors gives the names of the compressors that the client
// of a handler's call accepts, its grpc-accept-encoding, in its order; nil if it
// names none. "identity" need not be among them. grpc.ClientSupportedCompressors
// works only on grpc-go's own transport, this one only on weir's.
func ClientSupportedCompressors(ctx context.Context) ([]string, error) {
	st, ok := ctx.Value(streamKey{}).(transport.ServerStream)
	if !ok {
		return nil, status.Error(codes.Internal, "weir: ClientSupportedCompressors: the context is not that of a handler on a weir Server")
	}
	var names []string
	for name := range strings.SplitSeq(st.AcceptEncoding(), ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names, nil
}

// spyContext remembers the last key that it was asked for.
type spyContext struct{ key any }

func (*spyContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*spyContext) Done() <-chan struct{}       { return nil }
func (*spyContext) Err() error                  { return nil }
func (s *spyContext) Value(key any) any         { s.key = key; return nil }
