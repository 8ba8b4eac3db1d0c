package controlplane

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// A Config is everything that clients are told, of one version.
type Config struct {
	Listeners []Listener
	Clusters  []Cluster
}

// A Listener is what a client asks for by xds:///name: LDS, and RDS with it.
type Listener struct {
	// Name is the endpoint of the target. It is the domain of the virtual host too.
	Name string

	// RouteName is the name of the route configuration that RDS gives. Empty: the
	// routes are part of the listener.
	RouteName string

	// NoRoutes withholds what RouteName names.
	NoRoutes bool

	// Routes are tried in their order.
	Routes []Route

	// Fault stands before the router for all routes, which may override it.
	Fault *Fault

	// Filters stand before Fault, in the order of their names.
	Filters map[string]proto.Message

	// MaxStreamDuration bounds calls of routes without a timeout. Zero: none.
	MaxStreamDuration time.Duration

	// Retry is the virtual host's, for routes without one.
	Retry *Retry
}

// A Route sends the calls that match to its clusters.
type Route struct {
	// Path is a whole method, /package.Service/Method. If it is empty Prefix counts,
	// which matches every method if it is empty too.
	Path   string
	Prefix string

	// Headers must have exactly these values.
	Headers map[string]string

	// Clusters share the calls by their weights. One alone needs no weight.
	Clusters []Weighted

	// Timeout is max_stream_duration. Zero: the listener's.
	Timeout time.Duration

	Retry *Retry

	// Fault is in the place of the listener's, which must have one.
	Fault *Fault

	// HashHeader is the header whose value a ring hash is made of.
	HashHeader string

	// AutoHostRewrite sends the Hostname of the endpoint as :authority. Clients do
	// so for a control plane that they trust: see Client.
	AutoHostRewrite bool
}

// Weighted is a cluster with its weight.
type Weighted struct {
	Name   string
	Weight uint32
}

// Retry is a retry policy.
type Retry struct {
	// On are conditions of Envoy, with commas: "unavailable,cancelled".
	On string
	// Retries come after the first attempt.
	Retries uint32
	// Base is the first backoff, of which those that follow are made.
	Base time.Duration
}

// Fault is the fault filter's: of 100 % of the calls.
type Fault struct {
	Delay time.Duration
	// Abort ends calls. OK: none.
	Abort codes.Code
}

// Policy is how a cluster balances.
type Policy int

// The policies, of which round robin is the zero value.
const (
	RoundRobin Policy = iota
	RingHash
)

// A Cluster is CDS's, and EDS's with it unless it has DNS or Aggregate.
type Cluster struct {
	Name   string
	Policy Policy

	// DNS is a host name and a port, which the client looks up.
	DNS string

	// Aggregate are clusters, of which the first that works has the calls.
	Aggregate []string

	// NoEndpoints withholds what EDS gives.
	NoEndpoints bool

	Localities []Locality

	// DropPercent of the calls are dropped, each by itself.
	DropPercent uint32

	// MaxRequests is the circuit breaker's. Zero: the client's default, 1024.
	MaxRequests uint32

	// Outlier ejects endpoints that fail. Nil: never.
	Outlier *Outlier

	// TLS asks for TLS. Nil: what the client's credentials fall back to.
	TLS *TLS

	// ReportLoad asks the clients to report to this control plane: see Server.Load.
	ReportLoad bool
}

// Outlier is outlier detection by failure percentage.
type Outlier struct {
	// Interval is between two looks. Zero: 10 s.
	Interval time.Duration
	// Ejection is how long an endpoint stays away, at first. Zero: 30 s.
	Ejection time.Duration
	// Threshold is the percentage of failed calls above which one goes.
	Threshold uint32
	// Volume is the number of calls in an interval below which nothing is known of
	// an endpoint.
	Volume uint32
}

// TLS is what the certificate providers of the bootstrap are asked for.
type TLS struct {
	// Identity sends the certificate of the client.
	Identity bool
	// SANs are names of which the server's certificate must have one. Empty: any.
	SANs []string
}

// A Locality is a group of endpoints.
type Locality struct {
	// Zone names it. Empty: its number in the list.
	Zone string
	// Priority 0 is first. Others take over when all before them are gone; there
	// must be no gap.
	Priority uint32
	// Weight among those of the same priority. Zero: 1.
	Weight uint32

	Endpoints []Endpoint
}

// An Endpoint is one server.
type Endpoint struct {
	// Address is an IP address and a port.
	Address string
	// Weight in its locality. Zero: 1.
	Weight uint32
	// Hostname is for Route.AutoHostRewrite.
	Hostname string
	// Draining is told of a server that gets no new calls.
	Draining bool
}

// At gives one locality of endpoints of equal weight.
func At(addrs ...string) []Locality {
	l := Locality{Endpoints: make([]Endpoint, len(addrs))}
	for i, a := range addrs {
		l.Endpoints[i].Address = a
	}
	return []Locality{l}
}

// To gives all calls to one cluster.
func To(cluster string) []Weighted { return []Weighted{{Name: cluster, Weight: 1}} }
