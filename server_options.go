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

// Creds sets how connections are secured. Without it they are not secured.
func Creds(creds credentials.TransportCredentials) ServerOption {
	return serverOption(func(c *serverConfig) { c.creds = creds })
}

// MaxRecvMsgSize bounds the messages that the server receives, in octets,
// before and after they are decompressed. The default is 4 MiB, as in grpc-go.
// Zero takes empty messages only. A call with a larger message ends with
// RESOURCE_EXHAUSTED.
func MaxRecvMsgSize(n int) ServerOption {
	return serverOption(func(c *serverConfig) { c.maxRecv = n })
}

// MaxSendMsgSize bounds the messages that the server sends, in octets as they
// are sent, compressed or not. The default is 2^31-1, as in grpc-go. A call
// whose handler sends a larger one ends with RESOURCE_EXHAUSTED.
func MaxSendMsgSize(n int) ServerOption {
	return serverOption(func(c *serverConfig) { c.maxSend = n })
}

// MaxConcurrentStreams bounds the calls that a client may have open at a time
// on one connection; further calls wait on the client's side. The default is
// 1,000, where grpc-go has no bound. Zero and math.MaxUint32 mean no bound, as
// in grpc-go.
func MaxConcurrentStreams(n uint32) ServerOption {
	return serverOption(func(c *serverConfig) {
		if n == 0 {
			n = 1<<32 - 1
		}
		c.maxConcurrentStreams = n
	})
}

// ConnectionTimeout bounds the time from the acceptance of a connection to the
// end of its handshakes, which are TLS and HTTP/2's preface with SETTINGS,
// together. The default is 120 seconds, as in grpc-go. Zero and negative values
// leave no time at all: no connection comes about.
func ConnectionTimeout(d time.Duration) ServerOption {
	return serverOption(func(c *serverConfig) { c.connectionTimeout = d })
}

// UnknownServiceHandler sets what handles calls of services and methods that
// are not registered, which end with UNIMPLEMENTED without it. To the handler,
// and to the interceptors, each is a stream in both directions;
// grpc.MethodFromServerStream tells the method. The srv that it gets is nil. A
// path that is not of the form /service/method does not come to it.
func UnknownServiceHandler(h grpc.StreamHandler) ServerOption {
	return serverOption(func(c *serverConfig) { c.unknown = h })
}

// KeepaliveParams sets how long connections last, and after what time the
// Server asks a silent client by a PING frame whether it lives. As in grpc-go,
// zero means the defaults: a Time of 2 h, a Timeout of 20 s, and no end for
// MaxConnectionIdle, MaxConnectionAge and MaxConnectionAgeGrace; a Time of less
// than 1 s counts as 1 s. With a negative Time nobody is asked.
//
// On Linux, Timeout is also TCP_USER_TIMEOUT: how long what was sent may stay
// unacknowledged. It is 20 s if Time is negative. A *net.TCPConn of the
// listener that has a user timeout already keeps it.
//
// Connections that are idle or old are drained: their calls go on, for
// MaxConnectionAgeGrace at most if they are old, and new ones go elsewhere.
// Each age is longer or shorter by up to a tenth, by chance, so that
// connections that came together do not go together.
func KeepaliveParams(p keepalive.ServerParameters) ServerOption {
	return serverOption(func(c *serverConfig) { c.keepalive = p })
}

// KeepaliveEnforcementPolicy sets how often clients may send PING frames
// without being sent HEADERS or DATA in between: once in MinTime, which is 5
// min by default and if it is zero. While they have no call it is once in two
// hours, unless PermitWithoutStream is set. A client that sends the third one
// too early loses the connection, with GOAWAY "too_many_pings", and should
// double its Time.
func KeepaliveEnforcementPolicy(p keepalive.EnforcementPolicy) ServerOption {
	return serverOption(func(c *serverConfig) { c.enforcement = p })
}
