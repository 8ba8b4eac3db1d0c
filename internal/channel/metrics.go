package channel

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/credentials"
	estats "google.golang.org/grpc/experimental/stats"
	"google.golang.org/grpc/stats"
)

// measured is a stats handler with which the channel measures its connections.
// What the optional attributes say of xDS, grpc.lb.backend_service and
// grpc.lb.locality, is empty: grpc-go keeps that to itself.
//
// https://github.com/grpc/proposal/blob/master/A94-subchannel-otel-metrics.md
type measured struct {
	stats.Handler
	to     estats.MetricsRecorder
	target string
}

// withMetrics gives h, which may be nil, or what measures with m, too.
func withMetrics(h stats.Handler, m estats.MetricsRecorder, target string) stats.Handler {
	if _, none := m.(estats.UnimplementedMetricsRecorder); none || m == nil || h == nil || connMetrics() == nil {
		return h
	}
	return &measured{h, m, target}
}

// connMetrics are the metrics of connections, which grpc-go's root package
// registers. Nil if it is not there, or knows others.
var connMetrics = sync.OnceValue(func() *struct {
	succeeded, failed, lost *estats.Int64CountHandle
	open                    *estats.Int64UpDownCountHandle
} {
	all := [4]*estats.MetricDescriptor{}
	for i, name := range []string{"connection_attempts_succeeded", "connection_attempts_failed", "disconnections", "open_connections"} {
		if all[i] = estats.DescriptorForMetric("grpc.subchannel." + name); all[i] == nil {
			return nil
		}
	}
	return &struct {
		succeeded, failed, lost *estats.Int64CountHandle
		open                    *estats.Int64UpDownCountHandle
	}{
		(*estats.Int64CountHandle)(all[0]), (*estats.Int64CountHandle)(all[1]),
		(*estats.Int64CountHandle)(all[2]), (*estats.Int64UpDownCountHandle)(all[3]),
	}
})

// attempted counts an attempt to connect that has failed; m may be nil.
func (m *measured) attempted(ctx context.Context, err error) {
	if m != nil && err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		m.to.RecordInt64Count(connMetrics().failed, 1, m.target, "", "")
	}
}

// begins counts a connection, and gives what counts its end.
func (m *measured) begins(tr transport.ClientTransport) (ends func()) {
	level := ""
	if info, ok := tr.Peer().AuthInfo.(interface {
		GetCommonAuthInfo() credentials.CommonAuthInfo
	}); ok {
		level = info.GetCommonAuthInfo().SecurityLevel.String()
	}
	m.to.RecordInt64Count(connMetrics().succeeded, 1, m.target, "", "")
	m.to.RecordInt64UpDownCount(connMetrics().open, 1, m.target, "", level, "")
	return func() {
		m.to.RecordInt64Count(connMetrics().lost, 1, m.target, "", "", disconnectError(tr.Err()))
		m.to.RecordInt64UpDownCount(connMetrics().open, -1, m.target, "", level, "")
	}
}

// disconnectError is the value of grpc.disconnect_error: one of those that gRFC A94
// lists, whatever a server sends.
func disconnectError(err error) string {
	e, ok := errors.AsType[*transport.ConnError](err)
	switch errno, isSocket := errors.AsType[syscall.Errno](err); {
	case ok && strings.HasPrefix(e.GoAway, "GOAWAY ErrCode("): // none of RFC 9113
		return "unknown"
	case ok && e.GoAway != "": // and the text of it behind the code
		return strings.Join(strings.Fields(e.GoAway)[:2], " ")
	case ok && e.By == transport.ByLocal && e.Code == transport.CodeNoError && (e.Cause == nil || errors.Is(err, transport.ErrIdle)):
		return "subchannel shutdown"
	case isSocket && errno == syscall.ECONNRESET:
		return "connection reset"
	case ok && e.By == transport.ByNetwork && e.Cause == nil, errors.Is(err, transport.ErrWriteTimeout): // no answer to keepalive
		return "connection timed out"
	case isSocket && errno == syscall.ETIMEDOUT, errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "connection timed out"
	case isSocket && errno == syscall.ECONNABORTED:
		return "connection aborted"
	case isSocket:
		return "socket error"
	}
	return "unknown"
}
