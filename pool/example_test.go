package pool_test

import (
	"context"
	"fmt"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inproc"
	"github.com/weir-rpc/weir/pool"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// Two parts of a program that know nothing of each other share a Client.
func ExampleConnectionPool() {
	srv := weir.NewServer()
	defer srv.Stop()
	testpb.RegisterTestServiceServer(srv, echo{})

	p := pool.New(pool.Config{MaxClients: 10})
	defer p.Close()
	profile := pool.NewProfile(weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithTransport(inproc.To(srv)))
	for range 2 {
		c, err := p.Get(context.Background(), "passthrough:///echo", profile)
		if err != nil {
			fmt.Println(err)
			return
		}
		if _, err := testpb.NewTestServiceClient(c).EmptyCall(context.Background(), &testpb.Empty{}); err != nil {
			fmt.Println(err)
		}
		_ = c.Close()
	}
	st := p.Stats()
	fmt.Println(st.Created, "made,", st.Reused, "time used again,", st.Idle, "kept")
	// Output: 1 made, 1 time used again, 1 kept
}
