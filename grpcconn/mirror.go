package grpcconn

import (
	"context"
	"errors"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"
)

// mirror makes a grpc.ClientConn show a Client's state, through the two seams
// that grpc-go has for it. Its resolver, which knows no addresses, names the
// balancer of this package and hands it the Client; the balancer, which makes no
// connections, reports the Client's states as its own. The resolver's end is the
// conn's, and so it closes the Client.
type mirror struct{ client *weir.Client }

// mirrorKey is that of a *mirror in the attributes of a resolver's state.
type mirrorKey struct{}

type mirrorBuilder struct {
	*mirror
	scheme string
}

func (b mirrorBuilder) Scheme() string { return b.scheme }

// Build reports its state before it returns, so that the balancer is there when
// grpc.ClientConn.Connect, which Of calls, tells it for the first time.
func (b mirrorBuilder) Build(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	return b.mirror, cc.UpdateState(resolver.State{
		ServiceConfig: cc.ParseServiceConfig(`{"loadBalancingConfig":[{"` + balancerName + `":{}}]}`),
		Attributes:    attributes.New(mirrorKey{}, b.mirror),
	})
}

// ResolveNow implements resolver.Resolver.
func (m *mirror) ResolveNow(resolver.ResolveNowOptions) {}

// Close implements resolver.Resolver.
func (m *mirror) Close() { _ = m.client.Close() }

const balancerName = "weir_client"

func init() { balancer.Register(balancerBuilder{}) }

type balancerBuilder struct{}

func (balancerBuilder) Name() string { return balancerName }

func (balancerBuilder) Build(cc balancer.ClientConn, _ balancer.BuildOptions) balancer.Balancer {
	ctx, cancel := context.WithCancel(context.Background())
	return &stateBalancer{cc: cc, ctx: ctx, cancel: cancel, done: make(chan struct{})}
}

// stateBalancer reports a Client's states. grpc-go calls its methods one at a
// time.
type stateBalancer struct {
	cc     balancer.ClientConn
	client *weir.Client // nil until there is one
	begun  bool         // ExitIdle was called
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when watch has ended
}

var errNoMirror = errors.New("the balancer " + balancerName + " is for grpcconn.New alone")

func (b *stateBalancer) UpdateClientConnState(s balancer.ClientConnState) error {
	m, ok := s.ResolverState.Attributes.Value(mirrorKey{}).(*mirror)
	if !ok {
		return errNoMirror
	}
	if b.client == nil {
		b.client = m.client
		state := b.client.GetState()
		b.report(state)
		go b.watch(state)
	}
	return nil
}

// watch reports states until Close.
func (b *stateBalancer) watch(state connectivity.State) {
	defer close(b.done)
	for b.client.WaitForStateChange(b.ctx, state) {
		state = b.client.GetState()
		b.report(state)
		if state == connectivity.Shutdown {
			return
		}
	}
}

// errNotHere is for calls that get past the interceptor which takes them all.
var errNotHere = errors.New("this grpc.ClientConn belongs to a weir.Client and has no connection")

func (b *stateBalancer) report(state connectivity.State) {
	if state == connectivity.Shutdown { // which a grpc.ClientConn is by its own Close alone
		state = connectivity.TransientFailure
	}
	b.cc.UpdateState(balancer.State{ConnectivityState: state, Picker: base.NewErrPicker(errNotHere)})
}

// ExitIdle is called by grpc.ClientConn.Connect. The first time is when the conn
// is made.
func (b *stateBalancer) ExitIdle() {
	if b.begun && b.client != nil {
		b.client.Connect()
	}
	b.begun = true
}

func (b *stateBalancer) ResolverError(error) {}

func (b *stateBalancer) UpdateSubConnState(balancer.SubConn, balancer.SubConnState) {}

func (b *stateBalancer) Close() {
	b.cancel()
	if b.client != nil {
		<-b.done
	}
}
