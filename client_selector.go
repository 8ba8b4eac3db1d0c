package weir

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/weir-rpc/weir/internal/serviceconfig"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"
)

// A ConfigSelector says of each call, when it begins, how it is to be made. A
// resolver gives one with its addresses: see SetConfigSelector. grpc-go has the
// same for its own resolvers only.
//
// https://github.com/grpc/proposal/blob/master/A31-xds-timeout-support-and-config-selector.md
type ConfigSelector interface {
	// SelectConfig is called once for each call, not for its retries and hedges, by
	// the goroutine that makes the call, and by several at a time. It must not
	// wait. An error ends the call, with the code of its status, or with UNKNOWN if
	// it has none; codes that only servers may give become INTERNAL (gRFC A54). A
	// nil *RPCConfig without an error is one without fields.
	SelectConfig(RPCInfo) (*RPCConfig, error)
}

// RPCInfo is what a ConfigSelector is told of a call.
type RPCInfo struct {
	// Context is that of the caller, with the metadata of the call: see
	// metadata.FromOutgoingContext.
	Context context.Context
	// Method is "/package.Service/Method".
	Method string
	// Authority is the Client's. grpc.CallAuthority does not change it.
	Authority string
}

// RPCConfig is what a ConfigSelector says of a call. Its zero value changes nothing.
type RPCConfig struct {
	// Context is that of the rest of the call, for balancers among others. It must
	// be derived from RPCInfo.Context. Nil is that one.
	Context context.Context
	// MethodConfig takes the place of what the service config says of the method,
	// its hedging policy too. Nil leaves that in effect. Its retry policy is not
	// bounded by WithMaxCallAttempts, but switched off by WithDisableRetry. The
	// example of SetConfigSelector shows how to make one.
	MethodConfig *grpc.MethodConfig //nolint:staticcheck // what GetMethodConfig gives
	// OnCommitted is called once, when no further attempt of the call can be made,
	// at the end of the call at the latest. It may be nil, and must not wait.
	OnCommitted func()
	// Interceptor opens the stream of the call, of unary calls too. It calls open,
	// with its own context and options or others, before it returns or later; or it
	// does not call open at all, if it has an answer itself, and then has to call
	// those of opts that are a grpc.OnFinishCallOption. It stands behind the
	// interceptors of the Client and before retries, so that it is called once for
	// each call. An error ends the call, as one of SelectConfig does, but with any
	// code. It may be nil.
	Interceptor func(ctx context.Context, open func(context.Context, ...grpc.CallOption) (grpc.ClientStream, error), opts ...grpc.CallOption) (grpc.ClientStream, error)
}

// selectorKey is of the attributes of a resolver.State.
type selectorKey struct{}

// SetConfigSelector adds a ConfigSelector to the state of a resolver, which the
// resolver then passes to UpdateState. It is asked by the calls that begin
// while this state is the latest. It takes effect together with the service
// config of the state: not if that is wrong, nor with WithDisableServiceConfig.
// When UpdateState returns, no call asks the selector before it any more. Other
// clients than weir's ignore it.
func SetConfigSelector(s resolver.State, cs ConfigSelector) resolver.State {
	s.Attributes = s.Attributes.WithValue(selectorKey{}, cs)
	return s
}

// selecting gives the service with the selector of a state. s may be nil, and stays
// as it is.
func (s *service) selecting(state resolver.State, noRetry bool) *service {
	cs, _ := state.Attributes.Value(selectorKey{}).(ConfigSelector)
	if cs == nil {
		return s
	}
	next := service{config: new(serviceconfig.Config), noRetry: noRetry}
	if s != nil {
		next = *s
	}
	next.selector = &currentSelector{ConfigSelector: cs}
	return &next
}

// currentSelector is a ConfigSelector while it counts.
type currentSelector struct {
	ConfigSelector
	mu   sync.RWMutex // held to ask it
	over bool         // another is in its place, or will be; guarded by mu
}

// serve makes a service that of the calls from now on, and waits until no call asks
// the selector of the one before.
func (c *Client) serve(s *service) {
	old := c.service.Load()
	c.service.Store(s.after(old))
	old.retire()
}

// unselect waits until no call asks the selector of a resolver that is about to be
// closed.
func (c *Client) unselect() { c.service.Load().retire() }

// retire waits until no call asks the selector, and none will.
func (s *service) retire() {
	if s != nil && s.selector != nil {
		s.selector.mu.Lock()
		defer s.selector.mu.Unlock()
		s.selector.over = true
	}
}

// choice is what a selector says of one call, which has a service of its own then.
type choice struct {
	service   service
	method    *serviceconfig.Method // nil is what the service config says
	config    RPCConfig
	committed atomic.Bool
}

// begin reports whether the selector may be asked, with mu held for reading then.
// Else another is in its place, or there is none as yet.
func (a *currentSelector) begin() bool {
	if !a.mu.TryRLock() {
		return false
	}
	over := a.over
	if over {
		a.mu.RUnlock()
	}
	return !over
}

// choose asks the selector, if there is one. It gives the context of the call, and its
// service.
func (c *Client) choose(ctx context.Context, method string) (context.Context, *service, error) {
	s := c.service.Load()
	for s != nil && s.selector != nil && !s.selector.begin() {
		if err := c.ch.AwaitResolver(ctx); err != nil { // the next resolver, if this one has ended
			return ctx, nil, err
		}
		was := s
		if s = c.service.Load(); s == was {
			return ctx, nil, nil // the resolver gives no more than an error, which the call gets later
		}
	}
	if s == nil || s.selector == nil {
		return ctx, nil, nil
	}
	defer s.selector.mu.RUnlock()
	config, err := s.selector.SelectConfig(RPCInfo{Context: ctx, Method: method, Authority: c.authority})
	if err != nil {
		return ctx, nil, selectorError(err)
	}
	ch := &choice{service: *s}
	ch.service.choice = ch
	if config != nil {
		ch.config, ch.method = *config, methodOf(config.MethodConfig)
	}
	if ch.config.Context != nil {
		ctx = ch.config.Context
	}
	return ctx, &ch.service, nil
}

// selectorError is how a call ends whose selector has failed.
func selectorError(err error) error {
	st, _ := status.FromError(err)
	if forServers(st.Code()) {
		return status.Errorf(codes.Internal, "the ConfigSelector of the resolver ends the call with a code that is not its to give (gRFC A54): %v", err)
	}
	return st.Err()
}

// methodOf reads what a selector says in the place of the service config.
func methodOf(mc *grpc.MethodConfig) *serviceconfig.Method { //nolint:staticcheck // see RPCConfig
	if mc == nil {
		return nil
	}
	m := &serviceconfig.Method{WaitForReady: mc.WaitForReady, Timeout: mc.Timeout, MaxRequest: mc.MaxReqSize, MaxResponse: mc.MaxRespSize}
	if p := mc.RetryPolicy; p != nil && p.MaxAttempts > 1 {
		m.Retry = &serviceconfig.Retry{
			MaxAttempts:       p.MaxAttempts,
			InitialBackoff:    p.InitialBackoff,
			MaxBackoff:        p.MaxBackoff,
			BackoffMultiplier: p.BackoffMultiplier,
		}
		for code, retryable := range p.RetryableStatusCodes {
			if retryable {
				m.Retry.Codes = m.Retry.Codes.With(code)
			}
		}
	}
	return m
}

// intercepted reports whether the selector opens the stream of a call.
func (s *service) intercepted() bool {
	return s != nil && s.choice != nil && s.choice.config.Interceptor != nil
}

// committed tells the selector of a call that it is settled on which attempt it is.
func (ci *callInfo) committed() {
	if ci.service != nil && ci.service.choice != nil {
		ci.service.choice.commit()
	}
}

func (ch *choice) commit() {
	if f := ch.config.OnCommitted; f != nil && !ch.committed.Swap(true) {
		f()
	}
}

// through opens a stream by the interceptor of a selector.
func (c *Client) through(ctx context.Context, s *service, desc *grpc.StreamDesc, method string, opts []grpc.CallOption) (grpc.ClientStream, error) {
	ch := s.choice
	var opened atomic.Bool
	open := func(ctx context.Context, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		opened.Store(true)
		return c.open(ctx, s, desc, method, opts)
	}
	if ch.config.OnCommitted != nil { // for an interceptor that ends the call before it opens a stream
		opts = append(slices.Clip(opts), grpc.OnFinish(func(error) { ch.commit() }))
	}
	st, err := ch.config.Interceptor(ctx, open, opts...)
	if err == nil && st == nil {
		err = status.Error(codes.Internal, "the Interceptor of the resolver's ConfigSelector gave neither a stream nor an error")
	}
	if err == nil {
		return &interceptedStream{ClientStream: st, desc: desc, choice: ch}, nil
	}
	ch.commit()
	if _, ok := status.FromError(err); !ok {
		err = status.FromContextError(err).Err()
	}
	if !opened.Load() { // else the call has told
		c.unbegun(opts, err)
	}
	return nil, err
}

// unaryThrough makes a unary call as a stream, by the interceptor of a selector.
func (c *Client) unaryThrough(ctx context.Context, s *service, method string, args, reply any, opts []grpc.CallOption) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // what an interceptor may have left open
	st, err := c.through(ctx, s, new(grpc.StreamDesc), method, opts)
	if err != nil {
		return err
	}
	if err := st.SendMsg(args); err != nil {
		return err
	}
	return st.RecvMsg(reply)
}

// interceptedStream is a stream as an interceptor gave it, which may not know that
// the last message is one.
type interceptedStream struct {
	grpc.ClientStream
	desc   *grpc.StreamDesc
	choice *choice
	closed atomic.Bool // by CloseSend
}

// CloseSend is grpc.ClientStream's. An interceptor hears of it once.
func (s *interceptedStream) CloseSend() error {
	if s.closed.Swap(true) {
		return nil
	}
	return s.ClientStream.CloseSend()
}

// SendMsg is grpc.ClientStream's.
func (s *interceptedStream) SendMsg(m any) error {
	err := s.ClientStream.SendMsg(m)
	switch {
	case s.desc.ClientStreams:
		return err
	case err == io.EOF:
		return nil // RecvMsg tells
	case err != nil:
		return err
	}
	_ = s.CloseSend()
	return nil
}

// RecvMsg is grpc.ClientStream's.
func (s *interceptedStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	switch {
	case err == io.EOF && !s.desc.ServerStreams:
		err = status.Error(codes.Unimplemented, "cardinality violation: the call ended with status OK and without the message that was expected")
	case err == nil && !s.desc.ServerStreams:
		if err = s.ClientStream.RecvMsg(m); err == nil {
			err = status.Error(codes.Unimplemented, "cardinality violation: a second message came where one was expected")
		} else if err == io.EOF {
			s.choice.commit()
			return nil
		}
	}
	if err != nil {
		s.choice.commit()
	}
	return err
}
