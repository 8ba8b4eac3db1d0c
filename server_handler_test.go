package weir_test

import (
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// Nothing can be added to the headers at any time, as interceptors do that may
// or may not have something to say; something cannot.
func TestSetHeader_OfNothing(t *testing.T) {
	for name, srv := range map[string]anyServer{"weir": weir.NewServer(), "grpc-go": grpc.NewServer()} {
		t.Run(name, func(t *testing.T) {
			lis := listen(t)
			testpb.RegisterTestServiceServer(srv, methods{stream: func(ss grpc.ServerStream) error {
				if err := ss.SendMsg(new(testpb.StreamingOutputCallResponse)); err != nil {
					return err
				}
				for _, md := range []metadata.MD{nil, {}} {
					if err := ss.SetHeader(md); err != nil {
						t.Errorf("SetHeader(%#v) gave %v", md, err)
					}
				}
				if err := ss.SetHeader(metadata.Pairs("k", "v")); status.Code(err) != codes.Internal {
					t.Errorf("SetHeader behind the headers gave %v", err)
				}
				return nil
			}})
			background(t, srv, lis)
			s, err := testpb.NewTestServiceClient(clients["weir"](t, lis.Addr().String())).FullDuplexCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = s.Recv()
			}
		})
	}
}
