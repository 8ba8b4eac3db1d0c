// Package peers makes clients and servers of what is compared: all of them
// with the same service, behind the same interface.
package peers

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// MaxMessage is the largest message, in octets, that clients and servers of
// this package take.
const MaxMessage = 8 << 20

// Client is one connection, or one to each of several addresses. Its methods are safe for concurrent use, those of
// its streams are not. Close ends it with its streams.
type Client interface {
	Echo(ctx context.Context, m *benchpb.Message) (*benchpb.Message, error)
	PingPong(ctx context.Context) (PingPong, error)
	Send(ctx context.Context, req *benchpb.SendRequest) (Messages, error)
	Close() error
}

// Messages are those of a server. Recv returns io.EOF after the last.
type Messages interface {
	Recv() (*benchpb.Message, error)
}

// PingPong is a stream in both directions.
type PingPong interface {
	Messages
	Send(m *benchpb.Message) error
	CloseSend() error
}

// Server serves until Stop, at once, makes Serve return nil.
type Server interface {
	Serve(lis net.Listener) error
	Stop()
}

// Config is what a scenario asks of a client or a server.
type Config struct {
	TLS      *tls.Config // nil for none
	Deadline bool        // the handler insists on one
	Observed bool        // and on metadata and its interceptor

	Slots int // streams that the server takes on a connection; zero is scenario.MaxStreams

	Sleep time.Duration // of the handler of a unary call
	Turns int           // of Spin, in the same
}

func (c Config) maxStreams() uint32 {
	if c.Slots > 0 {
		return uint32(c.Slots)
	}
	return scenario.MaxStreams
}

// Implementation makes clients and servers.
type Implementation struct {
	Name string
	// Dial takes an address, or several with commas.
	Dial      func(target string, cfg Config) (Client, error)
	NewServer func(cfg Config) (Server, error)

	// lacks says why a scenario cannot be measured, or "".
	lacks func(s scenario.Scenario) string
}

// Peer is a client of one implementation that calls a server of another, most
// often of the same.
type Peer struct {
	Name           string
	Client, Server Implementation
	mixed          bool
	growing        bool // makes more connections when slots run out

	// Foreign peers are programs of their own, which speak as those of package
	// process do. Client and Server cannot be made here.
	Foreign bool
}

// Measures says whether the peer belongs into the table of the scenario: peers
// with weir on one side are for some only, and those that make more connections
// for servers that have few slots.
func (p Peer) Measures(s scenario.Scenario) bool {
	return (s.Mixed || !p.mixed) && (s.Slots > 0 || !p.growing)
}

// Lacks says why a scenario cannot be measured with the peer. It is "" if it
// can.
func (p Peer) Lacks(s scenario.Scenario) string {
	for _, impl := range []Implementation{p.Client, p.Server} {
		if impl.lacks == nil {
			continue
		}
		if why := impl.lacks(s); why != "" {
			return why
		}
	}
	return ""
}

// Baseline is the name of the peer that ratios are to.
const Baseline = "grpc-go"

// Reference is the name of the peer that is no RPC, only framed octets over
// TCP or TLS.
const Reference = "raw"

// All are the peers in the order of the table. Those that are measured unless
// others are named come first; their number is the second result.
func All() (peers []Peer, usual int) {
	weir := weirWith("weir")
	plain := grpcGo(grpcVariant{name: Baseline})
	peers = []Peer{
		same(weir),
		growing(weirWith("weir+connections", manyConnections)),
		same(plain),
		same(grpcGo(grpcTuned())),
		same(Implementation{Name: "connect-go", Dial: dialConnect, NewServer: newConnectServer, lacks: connectLacks}),
		same(raw(Reference, octets{})),
		same(raw("raw+protobuf", protobuf{})),
		{Name: "weir-to-grpc-go", Client: weir, Server: plain, mixed: true},
		{Name: "grpc-go-to-weir", Client: plain, Server: weir, mixed: true},
	}
	usual = len(peers)
	for _, v := range grpcVariants {
		peers = append(peers, same(grpcGo(v)))
	}
	return append(peers, cPlusPlus()), usual
}

func same(impl Implementation) Peer {
	return Peer{Name: impl.Name, Client: impl, Server: impl}
}

func growing(impl Implementation) Peer {
	p := same(impl)
	p.growing = true
	return p
}

// Select gives the peers of a list of names with commas, in the order of the
// table. The usual ones are those of an empty list.
func Select(list string) ([]Peer, error) {
	all, usual := All()
	if list == "" {
		return all[:usual], nil
	}
	names := strings.Split(list, ",")
	var some []Peer
	for _, p := range all {
		if i := slices.Index(names, p.Name); i >= 0 {
			some = append(some, p)
			names = slices.DeleteFunc(names, func(n string) bool { return n == p.Name })
		}
	}
	if len(names) > 0 {
		return nil, fmt.Errorf("peers: expected names of the list that -list shows; came %q", names)
	}
	return some, nil
}

// Named finds one peer.
func Named(name string) (Peer, error) {
	some, err := Select(name)
	if err != nil {
		return Peer{}, err
	}
	if len(some) != 1 {
		return Peer{}, fmt.Errorf("peers: expected one name; came %q", name)
	}
	return some[0], nil
}
