package channel

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/weir-rpc/weir/transport"
	estats "google.golang.org/grpc/experimental/stats"
	"google.golang.org/grpc/stats"
)

// Each way in which a connection ends has its name, of those that gRFC A94 lists.
func TestDisconnectError(t *testing.T) {
	network := func(cause error) error { return &transport.ConnError{By: transport.ByNetwork, Cause: cause} }
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"GOAWAY", &transport.ConnError{By: transport.ByPeer, GoAway: `GOAWAY ENHANCE_YOUR_CALM "too_many_pings"`}, "GOAWAY ENHANCE_YOUR_CALM"},
		{"GOAWAY with a code of its own", &transport.ConnError{By: transport.ByPeer, GoAway: "GOAWAY " + transport.ErrCode(1<<20).String() + ` "NO_ERROR"`}, "unknown"},
		{"closed here", &transport.ConnError{By: transport.ByLocal}, "subchannel shutdown"},
		{"idle", &transport.ConnError{By: transport.ByLocal, Cause: transport.ErrIdle}, "subchannel shutdown"},
		{"a fault of the peer", &transport.ConnError{By: transport.ByLocal, Code: transport.CodeProtocol}, "unknown"},
		{"it does not read", &transport.ConnError{By: transport.ByLocal, Cause: transport.ErrWriteTimeout}, "connection timed out"},
		{"no answer to keepalive", network(nil), "connection timed out"},
		{"reset", network(os.NewSyscallError("read", syscall.ECONNRESET)), "connection reset"},
		{"timed out", network(syscall.ETIMEDOUT), "connection timed out"},
		{"aborted", network(syscall.ECONNABORTED), "connection aborted"},
		{"a socket", network(syscall.EPIPE), "socket error"},
		{"the end of the stream", &transport.ConnError{By: transport.ByPeer, Cause: io.EOF}, "unknown"},
		{"of a transport of another kind", fmt.Errorf("it is gone: %w", context.DeadlineExceeded), "connection timed out"},
		{"none", nil, "unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := disconnectError(tt.err); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// Who records nothing has nothing measured.
func TestWithMetrics(t *testing.T) {
	var h struct{ stats.Handler }
	if got := withMetrics(h, estats.UnimplementedMetricsRecorder{}, ""); got != stats.Handler(h) {
		t.Errorf("a handler that does not record is %T", got)
	}
	if got := withMetrics(nil, nil, ""); got != nil {
		t.Errorf("none is %T", got)
	}
	var m *measured
	m.attempted(t.Context(), io.EOF)
}
