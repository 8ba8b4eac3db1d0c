package fleet

import (
	"context"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/rolling"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// A process says its name, ends without an error after SIGTERM, and comes back at
// its address.
func TestServe(t *testing.T) {
	p := rolling.Start(t, "127.0.0.1:0", "a")
	cc, err := weir.NewClient(p.Address, weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 2 {
		r, err := testpb.NewTestServiceClient(cc).UnaryCall(ctx, new(testpb.SimpleRequest), grpc.WaitForReady(true))
		if err != nil || r.GetServerId() != "a" {
			t.Errorf("the answer is %v, %v", r, err)
		}
		p.Terminate()
		p.Start()
	}
}
