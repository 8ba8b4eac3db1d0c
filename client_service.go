package weir

import (
	"context"
	"errors"

	"github.com/weir-rpc/weir/internal/balance"
	"github.com/weir-rpc/weir/internal/serviceconfig"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// defaultMaxCallAttempts is how many attempts a policy makes at most.
//
// https://github.com/grpc/proposal/blob/master/A6-client-retries.md#limits-on-retries-and-hedges
const defaultMaxCallAttempts = 5

// serviceOptions are the options about service configs.
type serviceOptions struct {
	standard *string // WithDefaultServiceConfig
	disabled bool    // of resolvers
	noRetry  bool
	attempts int // zero is defaultMaxCallAttempts
	health   healthOptions
}

// WithDefaultServiceConfig sets the service config, as JSON, that is in effect
// when the resolver gives none. Resolvers of WithResolvers and
// resolver.Register may give one, and so may DNS with the TXTServiceConfig of
// WithDNS. It says which balancer there is (see below), the timeouts,
// wait-for-ready, message sizes, retry and hedging policies of methods, how
// retries are throttled, and how many connections there may be to an address
// (see WithMaxConnectionsPerAddress). If something in it is wrong, NewClient
// fails and names the path of the field. Without this option nothing is
// configured.
//
// A hedgingPolicy stands in the place of a retryPolicy, and is for methods that
// may be executed several times. grpc-go does not know it:
//
//	{"maxAttempts": 3, "hedgingDelay": "0.1s", "nonFatalStatusCodes": ["UNAVAILABLE"]}
//
// The balancer is the first in loadBalancingConfig that is registered:
// pick_first, which is the default, round_robin, one whose package was
// imported, or one of balancer.Register. But for weir's own pick_first they are
// grpc-go's or yours, over connections of weir. NewClient fails if none in the
// list is registered:
//
//	{"loadBalancingConfig": [{"round_robin": {}}]}
//
// https://github.com/grpc/grpc/blob/master/doc/service_config.md
func WithDefaultServiceConfig(js string) DialOption {
	return dialOption(func(c *clientConfig) { c.service.standard = &js })
}

// WithDisableServiceConfig makes the Client ignore the service config of its
// resolver, which otherwise counts before that of WithDefaultServiceConfig.
func WithDisableServiceConfig() DialOption {
	return dialOption(func(c *clientConfig) { c.service.disabled = true })
}

// WithDisableRetry disables the retry and hedging policies of service configs:
// each call is attempted once. A call that the server has certainly not acted
// on is still attempted again, as in grpc-go.
func WithDisableRetry() DialOption {
	return dialOption(func(c *clientConfig) { c.service.noRetry = true })
}

// WithMaxCallAttempts bounds the attempts of a call by the retry and hedging
// policies of a service config, the first attempt included. The default is 5,
// also if n is less than 2. A policy that asks for more gets n.
func WithMaxCallAttempts(n int) DialOption {
	if n < 2 {
		n = defaultMaxCallAttempts
	}
	return dialOption(func(c *clientConfig) { c.service.attempts = n })
}

// service is what a Client goes by while its service config lasts.
type service struct {
	config   *serviceconfig.Config
	noRetry  bool
	throttle *throttle        // nil if retries are not throttled
	policy   *balance.Policy  // nil is pick_first
	selector *currentSelector // of the resolver; nil if it has none
	choice   *choice          // of the selector, if the service is of one call
}

func (o *serviceOptions) mostAttempts() int {
	if o.attempts == 0 {
		return defaultMaxCallAttempts
	}
	return o.attempts
}

// after gives the service that follows old: if it is throttled alike, the tokens
// are those that old has left. Either may be nil.
func (s *service) after(old *service) *service {
	if s == nil || old == nil || s == old || !s.throttle.like(old.throttle) {
		return s
	}
	next := *s
	next.throttle = old.throttle
	return &next
}

// open gives the service of a Client to begin with, or nil.
func (o *serviceOptions) open() (*service, error) {
	if o.standard == nil {
		return nil, nil
	}
	s, err := o.parse(*o.standard)
	if err != nil {
		return nil, errors.New("weir: WithDefaultServiceConfig: " + err.Error())
	}
	return s, nil
}

// GetMethodConfig gives what the service config says of calls of a method,
// "/package.Service/Method": of itself, else of its service, else of all. It has
// no field for a hedging policy, and does not ask a ConfigSelector.
func (c *Client) GetMethodConfig(method string) grpc.MethodConfig { //nolint:staticcheck // grpc-go's users have it
	var mc grpc.MethodConfig //nolint:staticcheck // the same
	s := c.service.Load()
	if s == nil {
		return mc
	}
	m := s.config.Method(method)
	if m == nil {
		return mc
	}
	mc.WaitForReady, mc.Timeout = copied(m.WaitForReady), copied(m.Timeout)
	mc.MaxReqSize, mc.MaxRespSize = copied(m.MaxRequest), copied(m.MaxResponse)
	if r := m.Retry; r != nil {
		p := fill(&mc.RetryPolicy)
		p.MaxAttempts, p.BackoffMultiplier = r.MaxAttempts, r.BackoffMultiplier
		p.InitialBackoff, p.MaxBackoff = r.InitialBackoff, r.MaxBackoff
		p.RetryableStatusCodes = make(map[codes.Code]bool)
		for c := codes.OK; c <= codes.Unauthenticated; c++ {
			if r.Codes.Has(c) {
				p.RetryableStatusCodes[c] = true
			}
		}
	}
	return mc
}

func copied[T any](v *T) *T {
	if v == nil {
		return nil
	}
	c := *v
	return &c
}

// fill makes what a pointer points to, whose type grpc-go keeps for itself.
func fill[T any](p **T) *T {
	*p = new(T)
	return *p
}

// configured takes what the service config says of a method, before the options
// of the call are read.
func (ci *callInfo) configured(s *service, method string) {
	m := s.config.Method(method)
	if s.choice != nil && s.choice.method != nil {
		m = s.choice.method
	}
	ci.service, ci.method = s, m
	if m == nil {
		return
	}
	if m.WaitForReady != nil {
		ci.waitForReady = *m.WaitForReady
	}
	// The sizes count instead of the defaults, and options no further than they.
	if m.MaxRequest != nil {
		ci.maxSend = *m.MaxRequest
	}
	if m.MaxResponse != nil {
		ci.maxRecv = *m.MaxResponse
	}
}

// confined says what the service config permits, after the options are read.
func (ci *callInfo) confined() {
	if m := ci.method; m != nil {
		if m.MaxRequest != nil {
			ci.maxSend = min(ci.maxSend, *m.MaxRequest)
		}
		if m.MaxResponse != nil {
			ci.maxRecv = min(ci.maxRecv, *m.MaxResponse)
		}
	}
}

// sendOption names what changes maxSend.
func (ci *callInfo) sendOption() string {
	if m := ci.method; m != nil && m.MaxRequest != nil && ci.maxSend == *m.MaxRequest {
		return "maxRequestMessageBytes of the service config"
	}
	return "MaxCallSendMsgSize"
}

// recvOption names what changes maxRecv.
func (ci *callInfo) recvOption() string {
	if m := ci.method; m != nil && m.MaxResponse != nil && ci.maxRecv == *m.MaxResponse {
		return "maxResponseMessageBytes of the service config"
	}
	return "MaxCallRecvMsgSize"
}

// bounded gives the context of a call: it ends no later than the service config
// says.
func (ci *callInfo) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if m := ci.method; m != nil && m.Timeout != nil && *m.Timeout >= 0 {
		return context.WithTimeout(ctx, *m.Timeout)
	}
	return ctx, noop
}

func noop() {}

// succeeded says that the call has ended well.
func (ci *callInfo) succeeded() {
	if ci.service != nil {
		ci.service.throttle.succeeded()
	}
}

// policy gives the retry policy of a call, or nil.
func (ci *callInfo) policy() *serviceconfig.Retry {
	if ci.method == nil || ci.service.noRetry {
		return nil
	}
	return ci.method.Retry
}

// hedging gives the hedging policy of a call, or nil.
func (ci *callInfo) hedging() *serviceconfig.Hedging {
	if ci.method == nil || ci.service.noRetry {
		return nil
	}
	return ci.method.Hedging
}
