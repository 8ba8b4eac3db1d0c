// Package peers makes clients and servers of the implementations of gRPC that
// the commands compare.
package peers

import (
	"io"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weir-rpc/weir"
)

// MaxMessage is the largest message, in octets, that servers of this package
// take and send.
const MaxMessage = 32 << 20

// Client is a connection to one server. Close ends it.
type Client interface {
	grpc.ClientConnInterface
	io.Closer
}

// Server serves the services that were registered on it before Serve. Stop
// ends it at once and makes Serve return.
type Server interface {
	grpc.ServiceRegistrar
	Serve(lis net.Listener) error
	Stop()
}

// Implementation is one of the compared. Its functions are safe for concurrent
// use.
type Implementation struct {
	// Name is what the implementation is called on the command line and in
	// tables.
	Name string

	// Dial makes a client, without TLS, whose calls all have the options.
	Dial func(target string, opts ...grpc.CallOption) (Client, error)

	// NewServer makes a server, without TLS, for messages up to MaxMessage.
	NewServer func() Server
}

// Pairing is a client of one implementation that calls a server of another.
type Pairing struct {
	Client, Server Implementation
}

// Pairings are those in which weir takes part.
func Pairings() []Pairing {
	return []Pairing{
		{Client: Weir(), Server: Weir()},
		{Client: GRPC(), Server: Weir()},
		{Client: Weir(), Server: GRPC()},
	}
}

// Named finds an implementation by its name.
func Named(name string) (Implementation, bool) {
	for _, impl := range []Implementation{Weir(), GRPC()} {
		if impl.Name == name {
			return impl, true
		}
	}
	return Implementation{}, false
}

// Weir is this module's implementation.
func Weir() Implementation {
	return Implementation{
		Name: "weir",
		Dial: func(target string, opts ...grpc.CallOption) (Client, error) {
			return weir.NewClient(target,
				weir.WithTransportCredentials(insecure.NewCredentials()),
				weir.WithDefaultCallOptions(opts...))
		},
		NewServer: func() Server {
			return weir.NewServer(
				weir.Creds(insecure.NewCredentials()),
				weir.MaxRecvMsgSize(MaxMessage),
				weir.MaxSendMsgSize(MaxMessage))
		},
	}
}

// GRPC is google.golang.org/grpc with its own transport.
func GRPC() Implementation {
	return Implementation{
		Name: "grpc-go",
		Dial: func(target string, opts ...grpc.CallOption) (Client, error) {
			return grpc.NewClient(target,
				grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithDefaultCallOptions(opts...))
		},
		NewServer: func() Server {
			return grpc.NewServer(
				grpc.Creds(insecure.NewCredentials()),
				grpc.MaxRecvMsgSize(MaxMessage),
				grpc.MaxSendMsgSize(MaxMessage))
		},
	}
}
