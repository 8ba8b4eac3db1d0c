package transport

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The interfaces are frozen: every method more breaks those who implement them,
// and every change those who use them. What a transport or a stream can do
// besides is an interface of its own, which is asked for.
func TestInterfacesAreFrozen(t *testing.T) {
	for _, tt := range []struct {
		is      reflect.Type
		methods []string
	}{
		{reflect.TypeFor[ClientTransport](), []string{
			"AfterDraining(func())",
			"Close(string)",
			"Done() <-chan struct {}",
			"Draining() <-chan struct {}",
			"Err() error",
			"GracefulClose()",
			"NewStream(context.Context, *transport.Call) (transport.ClientStream, error)",
			"Peer() *peer.Peer",
			"Ping(context.Context) error",
			"Ready() <-chan struct {}",
			"RoundTrip(context.Context, *transport.Call, transport.Buffer, *transport.Reply) error",
		}},
		{reflect.TypeFor[ServerTransport](), []string{
			"Close(string)",
			"Done() <-chan struct {}",
			"Drain(string)",
			"Err() error",
			"HandleStreams(context.Context, func(transport.ServerStream)) error",
			"Peer() *peer.Peer",
			"StartStreams(context.Context, func(transport.ServerStream), func())",
		}},
		{reflect.TypeFor[ClientStream](), []string{
			"Cancel(error)",
			"CloseSend()",
			"Context() context.Context",
			"Encoding() string",
			"GotHeader() bool",
			"GotTrailer() bool",
			"Header() metadata.MD",
			"Recv() (transport.Message, error)",
			"Refused() *transport.StreamError",
			"Send(transport.Buffer) error",
			"SendLast(transport.Buffer) error",
			"Status() *status.Status",
			"Trailer() metadata.MD",
			"TrailersOnly() bool",
		}},
		{reflect.TypeFor[ServerStream](), []string{
			"AcceptEncoding() string",
			"AcceptsEncoding(string) bool",
			"ContentSubtype() string",
			"Context() context.Context",
			"Encoding() string",
			"Header() metadata.MD",
			"Metadata() metadata.MD",
			"Method() string",
			"Peer() *peer.Peer",
			"Received() time.Time",
			"Recv() (transport.Message, error)",
			"Reply(transport.Buffer)",
			"Request() (transport.Message, error)",
			"Send(transport.Buffer) error",
			"SendCompress() string",
			"SendHeader(metadata.MD) error",
			"SetHeader(metadata.MD) error",
			"SetSendCompress(string) error",
			"SetTrailer(metadata.MD) error",
			"Trailer() metadata.MD",
			"WriteStatus(*status.Status)",
		}},
	} {
		var methods []string
		for m := range tt.is.Methods() {
			methods = append(methods, m.Name+strings.TrimPrefix(m.Type.String(), "func"))
		}
		if !slices.Equal(methods, tt.methods) {
			t.Errorf("%v has the methods\n%s\nand is frozen with\n%s", tt.is, strings.Join(methods, "\n"), strings.Join(tt.methods, "\n"))
		}
	}
}
