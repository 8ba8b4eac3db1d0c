package weir

// connections says how many there are.
type connections struct {
	set        bool
	perAddress int
}

// defaultMostConnections is how many connections to an address a service config may
// ask for.
//
// https://github.com/grpc/proposal/blob/master/A105-max_concurrent_streams-connection-scaling.md#configuration
const defaultMostConnections = 10

// WithMaxConnectionsPerAddress lets the Client have up to n connections to each
// address where it has one otherwise: where a server, or a proxy in front of it,
// allows fewer streams on a connection (SETTINGS_MAX_CONCURRENT_STREAMS) than there
// are calls, or where one connection cannot send what the calls have to say. n is
// as many as the server can be expected to have from one client; less than 2 is
// one.
//
// A service config may say how many there are to be, up to n, or up to 10 without
// this option; if it says nothing they are n, or one:
//
//	{"connectionScaling": {"maxConnectionsPerSubchannel": 4}}
//
// A call goes to the oldest connection that has a stream slot and is not behind
// with its sending. If no slot is free it waits in line, as without the option, but
// for a slot of any of the connections. Another connection is made when the first
// in line has waited for 10 ms, or when all have been behind for some 150 ms: one at a
// time, and with the pauses of WithConnectParams when that fails. The youngest is
// closed when no call has gone there for a minute and the others have room for
// those that are still on it, which finish. A connection that its server is about
// to end is replaced before, so that there is one more for a while; it counts no
// more when it drains. ResetConnectBackoff does not shorten the pauses between
// further connections. The Client is READY as long as one of
// the connections takes calls.
//
// It holds for each address that a balancer connects to, too. Connections that the
// function of WithTransport makes are counted if transport.NewHTTP2Client does it,
// else there is one. grpc-go has neither the option nor the field; see gRFC A105.
func WithMaxConnectionsPerAddress(n int) DialOption {
	return dialOption(func(c *clientConfig) { c.connections = connections{true, n} })
}

// most gives how many connections to an address there are to be while a service
// config lasts; s may be nil.
func (c *connections) most(s *service) int {
	limit, usual := defaultMostConnections, 1
	if c.set {
		limit, usual = c.perAddress, c.perAddress
	}
	if s != nil && s.config.MaxConnections != nil {
		return min(limit, *s.config.MaxConnections)
	}
	return usual
}
