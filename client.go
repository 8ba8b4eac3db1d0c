package weir

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/internal/binlog"
	"github.com/weir-rpc/weir/internal/channel"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
)

// A Client calls the services of one target. It is the grpc.ClientConnInterface
// that generated clients take. Its methods may be called by several goroutines
// at a time.
type Client struct {
	target    string
	authority string
	ch        *channel.Channel
	callOpts  []grpc.CallOption // of calls that no bridge has added them to
	messages  messageConfig
	codec     codec   // of calls that name none
	bridge    *bridge // nil without interceptors
	perRPC    []credentials.PerRPCCredentials
	bundled   int           // how many of perRPC are of the bundle: the last, or none
	stats     stats.Handler // nil if there is none
	log       *binlog.Log

	service atomic.Pointer[service] // nil without a service config

	streams openStreams // they hear of Close
	inspect inspection

	resolves bool // a resolver of the user's says what the service config is
}

var _ grpc.ClientConnInterface = (*Client)(nil)

var errNoCredentials = errors.New("weir: no transport security is set: use WithTransportCredentials(insecure.NewCredentials()) to say that there is none, or set credentials")

// NewClient makes a Client for target, as in grpc.NewClient: a host and port,
// or a URI of the scheme dns, passthrough, unix or unix-abstract, or of a
// scheme of WithResolvers or resolver.Register. It does no I/O, and fails only
// if the target or an option is wrong: the first call connects.
func NewClient(target string, opts ...DialOption) (*Client, error) {
	cfg := clientConfig{network: network{idle: defaultIdleTimeout}}
	if err := cfg.take(opts); err != nil {
		return nil, err
	}
	if err := cfg.unbundle(); err != nil {
		return nil, err
	}
	if cfg.creds == nil {
		return nil, errNoCredentials
	}
	t, err := channel.FindTarget(target, cfg.network.resolvers)
	if err != nil {
		return nil, errors.New("weir: " + err.Error())
	}
	if err := cfg.connect.check(); err != nil {
		return nil, errors.New("weir: " + err.Error())
	}
	if err := checkFrameSize("WithMaxFrameSize", cfg.conn.MaxFrameSize); err != nil {
		return nil, err
	}
	if err := cfg.network.dns.check(); err != nil {
		return nil, err
	}
	if err := cfg.checkFields(); err != nil {
		return nil, err
	}
	authority, err := cfg.authorityFor(t)
	if err != nil {
		return nil, err
	}
	if err := cfg.checkPerRPC(); err != nil {
		return nil, err
	}
	if err := cfg.messages.check(); err != nil {
		return nil, err
	}
	cfg.sizes.into(&cfg.conn)
	log, err := cfg.telemetry.log("WithBinaryLog", true)
	if err != nil {
		return nil, err
	}
	codec, ok := codecFor("proto")
	if !ok {
		return nil, errors.New("weir: no codec is registered for \"proto\"")
	}
	service, err := cfg.service.open()
	if err != nil {
		return nil, err
	}
	agent := "grpc-go-weir/" + transport.Version
	if cfg.userAgent != "" {
		agent = cfg.userAgent + " " + agent
	}
	var c *Client
	c = &Client{
		target:    target,
		authority: authority,
		callOpts:  cfg.callOpts,
		messages:  cfg.messages,
		codec:     codec.handingOver(cfg.handOver),
		perRPC:    cfg.perRPC,
		bundled:   cfg.bundled,
		stats:     cfg.stats.handler(),
		log:       log,
		ch: channel.New(channel.Config{
			Target:        t,
			Credentials:   cfg.creds, // no Clone: those of advancedtls forget their revocation lists
			Dial:          cfg.dial,
			Proxy:         cfg.proxy(),
			Resolver:      cfg.network.dns.Resolver,
			DNS:           cfg.network.dns.channel(),
			Connect:       cfg.whole(),
			ServiceConfig: cfg.service.resolved(&cfg.connections, func() *Client { return c }),
			ResolverEnds:  func() { c.unselect() },
			Observer:      cfg.telemetry.observer(target, cfg.observer),
			Stats:         cfg.stats.handler(),
			Log:           cfg.telemetry.conns(target),
			Balancing:     cfg.balancing(service, authority, agent, func() *Client { return c }),

			MaxConnectionsPerAddress: cfg.connections.most(service),

			Backoff:           cfg.connect.Backoff,
			MinConnectTimeout: cfg.connect.MinConnectTimeout,
			Transport: transport.ClientConfig{
				ConnConfig:     cfg.conn,
				Authority:      authority,
				UserAgent:      agent,
				AcceptEncoding: cfg.messages.acceptEncoding(),
				Keepalive:      cfg.keepalive,
				Answers:        cfg.answers.policy(cfg.keepalive),
				EarlyCalls:     cfg.early,
				IdleTimeout:    cfg.network.idle,
			},
		}),
	}
	c.service.Store(service)
	c.resolves = (t.Hosted() || t.Lookup && cfg.network.dns.TXTServiceConfig) && !cfg.service.disabled
	if len(cfg.interceptors) > 0 {
		if c.bridge, err = newBridge(c, cfg.interceptors); err != nil {
			_ = c.ch.Close()
			return nil, err
		}
		c.callOpts = nil // it adds them, for the interceptors to see
	}
	c.inspect.begin(cfg.inspect)
	inspect.AddClient(c.inspect.registry, c.inspect.id, c)
	return c, nil
}

// Target gives the target that the Client was made with.
func (c *Client) Target() string { return c.target }

// Close ends every connection and every call, and with them the contexts of
// streams. Calls on a connection fail with UNAVAILABLE; those that wait for a
// connection, and all later ones, fail with CANCELLED. If the Client was closed
// already, Close gives an error with the status CANCELLED.
func (c *Client) Close() error {
	if c.bridge != nil {
		_ = c.bridge.conn.Close()
	}
	defer c.inspect.end()
	defer c.streams.end() // what a stream says of its end is said by then
	return c.ch.Close()
}

// info reads a call's options. If they are wrong the call ends here.
func (c *Client) info(ci *callInfo, method string, opts []grpc.CallOption) (comp encoding.Compressor, err error) {
	ci.maxRecv, ci.maxSend = defaultMaxRecv, defaultMaxSend
	ci.maxReplay, ci.least, ci.accept = defaultMaxReplay, c.messages.least, c.messages.accept
	service := ci.service // by choice
	if service == nil {
		service = c.service.Load()
	}
	if service != nil {
		ci.configured(service, method)
	}
	if len(c.callOpts) > 0 {
		err = ci.apply(c.callOpts)
	}
	if e := ci.apply(opts); err == nil {
		err = e
	}
	if service != nil {
		ci.confined()
	}
	if !ci.forced {
		ci.codec = c.codec
	}
	if err == nil {
		comp, err = ci.encoder()
		ci.codec.vt, ci.codec.pool, ci.codec.log = c.messages.vt, c.messages.pool, c.log.Call(method)
	}
	if err != nil {
		ci.finish(noMetadata, noMetadata, nil, err)
	}
	return comp, err
}

// encode gives the message that is sent for v, and its size before it was
// compressed.
func (ci *callInfo) encode(v any, comp encoding.Compressor) (m transport.Buffer, size int, err error) {
	return sending{ci.least, ci.maxSend, "the client's limit", ci.sendOption()}.encode(v, &ci.codec, comp)
}

// begin is how an attempt begins.
func (ci *callInfo) begin(transparent bool) stats.Begin {
	return stats.Begin{FailFast: !ci.waitForReady, IsTransparentRetryAttempt: transparent}
}

// call fills in what the transport needs to know.
func (ci *callInfo) call(call *transport.Call, method string) {
	call.Method, call.Authority = method, ci.authority
	call.ContentSubtype, call.SendCompress = ci.subtype, ci.compressor
	call.MaxRecvMessageSize = recvLimit(ci.maxRecv)
	call.TakesValues = ci.codec.hands
	if ci.accept != nil {
		call.AcceptEncoding = ci.accept.field
	}
}

// recvLimit makes a message size option a limit of the transport, where zero
// has another meaning.
func recvLimit(n int) int {
	if n <= 0 {
		return 1 // the codec is stricter
	}
	return n
}

func noMetadata() metadata.MD { return nil }

// NewStream opens a stream. The caller has to end it, as
// grpc.ClientConnInterface says: by receiving until an error, or by ending ctx.
func (c *Client) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if c.bridge != nil {
		return c.bridge.conn.NewStream(ctx, desc, method, opts...)
	}
	return c.stream(ctx, desc, method, opts)
}

// stream is NewStream behind the interceptors.
func (c *Client) stream(ctx context.Context, desc *grpc.StreamDesc, method string, opts []grpc.CallOption) (grpc.ClientStream, error) {
	if !c.resolves {
		return c.open(ctx, nil, desc, method, opts)
	}
	ctx, s, err := c.resolved(ctx, method, opts)
	if err != nil {
		return nil, err
	}
	if s.intercepted() {
		return c.through(ctx, s, desc, method, opts)
	}
	return c.open(ctx, s, desc, method, opts)
}

// open begins the call of a stream. The service is nil unless it is of the call alone.
func (c *Client) open(ctx context.Context, s *service, desc *grpc.StreamDesc, method string, opts []grpc.CallOption) (grpc.ClientStream, error) {
	cs := &clientStream{c: c, sends: desc.ClientStreams, receives: desc.ServerStreams, parent: ctx, method: method, info: callInfo{service: s}}
	comp, err := c.info(&cs.info, method, opts)
	if err != nil {
		return nil, err
	}
	cs.retries.begin(&cs.info)
	cs.comp, cs.info.codec.once = comp, cs.sends || cs.receives // else it is Invoke's
	var expire context.CancelFunc
	if cs.info.method != nil {
		if cs.info.hedging() != nil {
			return c.hedge(ctx, desc, method, cs.info, comp), nil
		}
		cs.parent, expire = cs.info.bounded(ctx)
	}
	if err := cs.begin(expire); err != nil {
		cs.info.finish(noMetadata, noMetadata, nil, err)
		return nil, err
	}
	return cs, nil
}
