package cases

import (
	"context"
	"strings"
	"testing"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/interop/internal/testservice"
)

// implemented is a service that otherwise nobody has.
type implemented struct {
	testgrpc.UnimplementedUnimplementedServiceServer
}

func (implemented) UnimplementedCall(context.Context, *testgrpc.Empty) (*testgrpc.Empty, error) {
	return new(testgrpc.Empty), nil
}

// rpc_soak makes its calls on the one client, channel_soak each on its own.
func TestSoakClients(t *testing.T) {
	for _, tt := range []struct {
		name string
		more int
	}{{"rpc_soak", 0}, {"channel_soak", 10}} {
		t.Run(tt.name, func(t *testing.T) {
			to, log := target(t, testservice.Register)
			more := 0
			dial := to.Dial
			to.Dial = func() (*weir.Client, error) { more++; return dial() }
			to.Soak.Threads = 1
			if err := Named(tt.name).Run(t.Context(), to); err != nil {
				t.Fatal(err)
			}
			if more != tt.more {
				t.Errorf("%d more clients, want %d", more, tt.more)
			}
			if n := strings.Count(log.String(), " succeeded\n"); n != 10 {
				t.Errorf("the log has %d iterations that succeeded, want 10:\n%s", n, log)
			}
		})
	}
}

// The iterations are shared by the threads, also where they do not divide.
func TestSoakThreads(t *testing.T) {
	to, log := target(t, testservice.Register)
	to.Soak.Threads, to.Soak.Iterations = 3, 10
	if err := Named("rpc_soak").Run(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	if want := "soak test: 10 of 10 iterations, 0 failures\n"; !strings.HasSuffix(log.String(), want) {
		t.Errorf("the log does not end in %q:\n%s", want, log)
	}
}
