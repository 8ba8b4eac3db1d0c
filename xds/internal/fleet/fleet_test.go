package fleet

import (
	"context"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

func TestBackend(t *testing.T) {
	b := Start(t, "a")
	cc, err := weir.NewClient(b.Addr(), weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithAuthority("shelf"))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	client := testpb.NewTestServiceClient(cc)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	call := func(opts ...grpc.CallOption) error {
		r, err := client.UnaryCall(ctx, &testpb.SimpleRequest{}, opts...)
		if err == nil && (r.GetServerId() != "a" || r.GetHostname() != "shelf") {
			t.Errorf("the answer is %v", r)
		}
		return err
	}
	if err := call(); err != nil {
		t.Error(err)
	}

	b.Fail(1, codes.DataLoss)
	if err := call(); status.Code(err) != codes.DataLoss {
		t.Errorf("told to fail: %v", err)
	}
	if err := call(); err != nil {
		t.Errorf("told to fail once: %v", err)
	}

	b.Hold(1)
	held := make(chan error, 1)
	go func() { held <- call() }()
	if err := b.WaitHeld(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := call(); err != nil {
		t.Errorf("told to hold one: %v", err)
	}
	drained := make(chan struct{})
	go func() {
		b.Drain()
		close(drained)
	}()
	b.Pass()
	if err := <-held; err != nil {
		t.Errorf("a call under way when its server drains: %v", err)
	}
	<-drained
	if err := call(); status.Code(err) != codes.Unavailable {
		t.Errorf("without a server: %v", err)
	}
	b.Restart()
	if err := call(grpc.WaitForReady(true)); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if n := b.Calls(); n != 6 {
		t.Errorf("%d calls came, want 6", n)
	}
}
