package weir

import (
	"google.golang.org/grpc/credentials"
)

// A ServerOption configures a Server.
type ServerOption interface{ apply(*serverConfig) }

type serverConfig struct {
	creds                credentials.TransportCredentials
	maxRecv              int
	maxSend              int
	maxConcurrentStreams uint32
}

type serverOption func(*serverConfig)

func (f serverOption) apply(c *serverConfig) { f(c) }

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
