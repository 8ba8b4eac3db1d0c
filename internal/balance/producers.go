package balance

import (
	"sync"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/balancer"
)

// producers are what watches a server for balancers, by who builds it: each is
// shared, and ends with its last user or with the state of the connection.
type producers struct {
	over func(current func() transport.ClientTransport) any // may be nil

	mu  sync.Mutex
	all map[balancer.ProducerBuilder]*producer
}

type producer struct {
	made  balancer.Producer
	end   func()
	users int // zero if it has ended
}

// GetOrBuildProducer is balancer.SubConn's.
func (sc *subConn) GetOrBuildProducer(b balancer.ProducerBuilder) (balancer.Producer, func()) {
	ps := &sc.producers
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.all[b]
	if p == nil {
		var conn any
		if ps.over != nil {
			conn = ps.over(sc.lasting)
		}
		p = new(producer)
		p.made, p.end = b.Build(conn)
		if ps.all == nil {
			ps.all = make(map[balancer.ProducerBuilder]*producer)
		}
		ps.all[b] = p
	}
	p.users++
	return p.made, sync.OnceFunc(func() { ps.leave(b, p) })
}

// leave ends a producer with its last user.
func (ps *producers) leave(b balancer.ProducerBuilder, p *producer) {
	ps.mu.Lock()
	p.users--
	last := p.users == 0
	if last {
		delete(ps.all, b)
	}
	ps.mu.Unlock()
	if last {
		p.end()
	}
}

// close ends all, whoever uses them.
func (ps *producers) close() {
	ps.mu.Lock()
	all := ps.all
	ps.all = nil
	for _, p := range all {
		p.users = 0
	}
	ps.mu.Unlock()
	for _, p := range all {
		p.end()
	}
}
