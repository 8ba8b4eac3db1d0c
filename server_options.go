package weir

import (
	"time"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

// A ServerOption configures a Server.
type ServerOption interface{ apply(*serverConfig) }

type serverConfig struct {
	creds                credentials.TransportCredentials
	maxRecv              int
	maxSend              int
	maxConcurrentStreams uint32
	connectionTimeout    time.Duration
	unaryOutermost       grpc.UnaryServerInterceptor
	unaryChain           []grpc.UnaryServerInterceptor
	streamOutermost      grpc.StreamServerInterceptor
	streamChain          []grpc.StreamServerInterceptor
	unknown              grpc.StreamHandler
	stats                statsHandlers
	conn                 transport.ConnConfig
	keepalive            keepalive.ServerParameters
	enforcement          keepalive.EnforcementPolicy
	sizes                sizes
	messages             messageConfig
	intake               intakeConfig
	inspect              inspectConfig
	telemetry            telemetryConfig
	fault                optionFault
}

type serverOption func(*serverConfig)

func (f serverOption) apply(c *serverConfig) { f(c) }

// take applies the options of NewServer.
func (c *serverConfig) take(opts []ServerOption) {
	for i, o := range opts {
		if o == nil {
			c.fault.note("NewServer", absent("option", i, len(opts)))
			continue
		}
		o.apply(c)
	}
}

// Creds sets how connections are secured. Without it they are not.
func Creds(creds credentials.TransportCredentials) ServerOption {
	return serverOption(func(c *serverConfig) { c.creds = creds })
}

// MaxRecvMsgSize bounds the messages that the server receives, in octets: 4 MiB
// without it, as in grpc-go.
func MaxRecvMsgSize(n int) ServerOption {
	return serverOption(func(c *serverConfig) { c.maxRecv = n })
}

// MaxSendMsgSize bounds the messages that the server sends, in octets: 2^31-1
// without it, as in grpc-go.
func MaxSendMsgSize(n int) ServerOption {
	return serverOption(func(c *serverConfig) { c.maxSend = n })
}

// MaxConcurrentStreams bounds the calls that a client may have open at a time
// on one connection: 1,000 without it, where grpc-go has no bound. Zero and
// math.MaxUint32 mean no bound, as in grpc-go.
func MaxConcurrentStreams(n uint32) ServerOption {
	return serverOption(func(c *serverConfig) {
		if n == 0 {
			n = 1<<32 - 1
		}
		c.maxConcurrentStreams = n
	})
}

// ConnectionTimeout bounds the time from the acceptance of a connection to the
// end of its handshakes, TLS and the preface of HTTP/2 with SETTINGS together:
// 120 seconds without it, as in grpc-go. Zero and less leave no time at all.
func ConnectionTimeout(d time.Duration) ServerOption {
	return serverOption(func(c *serverConfig) { c.connectionTimeout = d })
}

// UnknownServiceHandler sets what handles calls of services and methods that
// are not registered, which end as UNIMPLEMENTED without it. Each is a stream
// in both directions to it, and to the interceptors; grpc.MethodFromServerStream
// tells the method. The srv that it gets is nil. A path that is not of the form
// /service/method does not come to it.
func UnknownServiceHandler(h grpc.StreamHandler) ServerOption {
	return serverOption(func(c *serverConfig) { c.unknown = h })
}

// KeepaliveParams sets when the Server asks a client from which nothing comes
// whether it lives, by a PING frame, and how long connections last. As in
// grpc-go, zero means a Time of 2 h, a Timeout of 20 s, and no end for
// MaxConnectionIdle, MaxConnectionAge and MaxConnectionAgeGrace; a Time of less
// than 1 s counts as 1 s. A negative Time asks nobody.
//
// Timeout is TCP_USER_TIMEOUT too, on Linux, and 20 s if Time is negative, unless
// the listener gives a *net.TCPConn that has another already.
//
// Connections that are idle or old are drained: their calls go on, for
// MaxConnectionAgeGrace at most if they are old, and new ones go elsewhere. The
// age is longer or shorter by up to a tenth, by chance, so that connections that
// came together do not go together.
func KeepaliveParams(p keepalive.ServerParameters) ServerOption {
	return serverOption(func(c *serverConfig) { c.keepalive = p })
}

// KeepaliveEnforcementPolicy sets how often clients may send PING frames
// without being sent HEADERS or DATA in between: not more often than every
// MinTime, 5 min if it is zero, and, unless PermitWithoutStream, every two hours
// while they have no call. A client that does it for the third time loses the
// connection, with GOAWAY "too_many_pings", and should double its Time.
func KeepaliveEnforcementPolicy(p keepalive.EnforcementPolicy) ServerOption {
	return serverOption(func(c *serverConfig) { c.enforcement = p })
}
