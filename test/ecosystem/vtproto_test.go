package ecosystem

import (
	"context"
	"testing"

	vt "github.com/planetscale/vtprotobuf/testproto/proto3opt"
	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

var vtDesc = grpc.ServiceDesc{ServiceName: "ecosystem.VT", Methods: []grpc.MethodDesc{{
	MethodName: "Echo",
	Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		in := new(vt.OptionalFieldInProto3)
		return in, decode(in)
	},
}}}

// Feature: vtprotobuf
//
// Messages that vtprotobuf has generated go there and back by its methods. What
// shows it is a string that is not UTF-8: they take it, as they are known to, and
// the standard ones do not.
func TestVTProtobuf(t *testing.T) {
	for _, tt := range []struct {
		name           string
		client, server bool
		want           codes.Code // of the string
	}{
		{"neither", false, false, codes.Internal},
		{"client", true, false, codes.Internal},
		{"server", false, true, codes.Internal},
		{"both", true, true, codes.OK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var serve []weir.ServerOption
			plain := weir.WithMinCompressSize(0)
			dial := plain
			if tt.server {
				serve = append(serve, weir.VTProto())
			}
			if tt.client {
				dial = weir.WithVTProto()
			}
			srv := weir.NewServer(serve...)
			srv.RegisterService(&vtDesc, nil)
			lis := listen(t)
			start(t, srv, lis)
			c := dialed(t, true, "passthrough:///"+lis.Addr().String(), dial, nil)
			in := &vt.OptionalFieldInProto3{
				OptionalInt32: proto.Int32(-7), OptionalDouble: new(1.5), OptionalBytes: make([]byte, 100_000), OptionalString: new("text"),
			}
			// What the reply had before is gone.
			out := &vt.OptionalFieldInProto3{OptionalInt64: proto.Int64(5), OptionalString: new("before")}
			if err := c.Invoke(t.Context(), "/ecosystem.VT/Echo", in, out); err != nil || !proto.Equal(in, out) {
				t.Errorf("%v comes back, %v", out, err)
			}
			in.OptionalString = new("\xff")
			err := c.Invoke(t.Context(), "/ecosystem.VT/Echo", in, out)
			if status.Code(err) != tt.want || err == nil && out.GetOptionalString() != "\xff" {
				t.Errorf("a string that is not UTF-8: %q, %v, want %v", out.GetOptionalString(), err, tt.want)
			}
		})
	}
}
