package weir_test

import (
	"context"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/allocs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// callerStack is what a caller itself has on its stack, in octets.
const callerStack = 256

// A unary call of a caller with little on its stack does with one of 4 KiB,
// protobuf included. Stacks double: a frame too many takes a thousand callers four
// megabytes, and the garbage collector has each of them shrink and grow again. Now
// and then one needs more, when it is its turn to get the allocator new memory.
func TestUnaryCall_FitsASmallStack(t *testing.T) {
	if !allocs.Alone(t) {
		return
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // each processor keeps stacks in store
	ln, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	s := weir.NewServer()
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "echo", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Echo",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			m := new(wrapperspb.BytesValue)
			return m, decode(m)
		},
	}}}, nil)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	c, err := weir.NewClient(ln.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	call := func() {
		in, out := wrapperspb.Bytes(make([]byte, 32)), new(wrapperspb.BytesValue)
		if err := c.Invoke(ctx, "/echo/Echo", in, out); err != nil || len(out.Value) != 32 {
			t.Errorf("%d octets, %v", len(out.Value), err)
		}
	}
	call()
	debug.SetGCPercent(-1) // a cycle would shrink them
	const callers = 1000
	var made, over sync.WaitGroup
	stay := make(chan struct{})
	before := stacks()
	for range callers {
		made.Add(1)
		over.Go(func() {
			below(call)
			made.Done()
			<-stay
		})
	}
	made.Wait()
	each := (stacks() - before) / callers
	close(stay)
	over.Wait()
	t.Logf("%d octets of stack for a caller", each)
	if most := uint64(6 << 10); each > most {
		t.Errorf("a caller has %d octets of stack, want at most %d: some function on its path has a larger frame (go build -gcflags=-S tells its locals)", each, most)
	}
	_ = c.Close()
	s.Stop()
	<-served
}

// below has call run three times, further down the stack.
//
//go:noinline
func below(call func()) {
	var above [callerStack]byte
	for range 3 {
		call()
	}
	runtime.KeepAlive(&above)
}

func stacks() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.StackInuse
}
