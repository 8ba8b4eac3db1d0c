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
// address. The default, also for less than 2, is one. It is for servers, or
// proxies in front of them, that allow fewer streams on a connection
// (SETTINGS_MAX_CONCURRENT_STREAMS) than there are calls, and for calls that
// send more than one connection can carry. Choose an n that the server can bear
// from each of its clients.
//
// A service config may say how many connections there are to be, up to n, or up
// to 10 without this option. If it says nothing they are n, or one:
//
//	{"connectionScaling": {"maxConnectionsPerSubchannel": 4}}
//
// A call goes to the oldest connection that has a stream slot and is not behind
// with its sending. If no slot is free it waits in line, as without the option,
// but for a slot of any of the connections. Another connection is made when the
// first in line has waited for 10 ms, or when all have been behind for some 150
// ms: one at a time, and with the pauses of WithConnectParams when that fails.
// The youngest is closed when no call has gone there for a minute and the
// others have room for those that are still on it, which finish. A connection
// that its server is about to end is replaced before, so that there is one more
// for a while; it counts no more when it drains. ResetConnectBackoff does not
// shorten the pauses between further connections. The Client is READY as long
// as one of the connections takes calls.
//
// With a balancer the bound is for each address that it connects to.
// Connections that the function of WithTransport makes are counted if
// transport.NewHTTP2Client makes them, else there is one. grpc-go has neither
// the option nor the field; see gRFC A105.
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
