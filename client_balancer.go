package weir

import (
	"context"

	"github.com/weir-rpc/weir/internal/balance"
	"github.com/weir-rpc/weir/internal/channel"
	"github.com/weir-rpc/weir/internal/serviceconfig"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
)

// parse reads a service config.
func (o *serviceOptions) parse(js string) (*service, error) {
	config, err := serviceconfig.Parse(js, o.mostAttempts())
	if err != nil {
		return nil, err
	}
	policy, err := balance.Choose(config.LoadBalancingConfig, config.LoadBalancingPolicy)
	if err != nil {
		return nil, err
	}
	o.health.choose(config.HealthCheck, policy)
	return &service{config: config, noRetry: o.noRetry, throttle: newThrottle(config.Throttling), policy: policy}, nil
}

// balancer gives the policy of a service config, for the channel; s may be nil.
func (s *service) balancer() channel.Policy {
	p := balance.Default()
	if s != nil {
		p = s.policy
	}
	if p == nil {
		return nil
	}
	return p
}

// balancing says who has more than one connection.
func (c *clientConfig) balancing(s *service, authority, agent string, client func() *Client) channel.Balancing {
	metrics := balance.Recorder(c.stats)
	return channel.Balancing{Policy: s.balancer(), Bundle: c.bundle, Metrics: metrics, New: func(site channel.Site) channel.Balancer {
		return balancers{balance.New(balance.Config{
			Target: site.Target.String(),
			Options: balancer.BuildOptions{
				DialCreds:       c.creds,
				CredsBundle:     c.bundle,
				Dialer:          c.dial,
				Authority:       authority,
				ChannelzParent:  channelzParent(),
				CustomUserAgent: agent,
				Target:          site.Target,
			},
			Metrics:    metrics,
			Connect:    site.Connect,
			Pace:       site.Pace,
			Publish:    site.Publish,
			ResolveNow: site.ResolveNow,
			Over:       func(current func() transport.ClientTransport) any { return client().over(current) },
			Health: func(ctx context.Context, current func() transport.ClientTransport, service string, tell func(serving bool, said string)) error {
				return watchHealth(ctx, client().over(current), service, tell)
			},
		})}
	}}
}

// balancers are the host of balancers, as a channel knows it.
type balancers struct{ *balance.Host }

// Update is channel.Balancer's.
func (b balancers) Update(p channel.Policy, s resolver.State) error {
	policy, _ := p.(*balance.Policy)
	return b.Host.Update(policy, s)
}

// over gives a Client for the calls of a balancer, over a connection of this one.
// It has none of its options about calls.
func (c *Client) over(current func() transport.ClientTransport) *Client {
	return &Client{target: c.target, authority: c.authority, codec: c.codec, ch: channel.Over(current, c.ch)}
}

// pseudoAuthority is the key of PickResult.Metadata that is no metadata.
const pseudoAuthority = ":authority"

// authorityOf gives the :authority of an attempt that says another than its
// connection's: what the call says, else what the balancer says. The latter is of
// this attempt alone.
//
// https://github.com/grpc/proposal/blob/master/A81-xds-authority-rewriting.md
func authorityOf(info *callInfo, p *channel.Pick) string {
	if info.authority == "" && len(p.Metadata) > 0 {
		if name := p.Metadata[pseudoAuthority]; len(name) > 0 {
			return name[0]
		}
	}
	return info.authority
}

// withPick adds what a balancer says of an attempt. md stays as it is.
func withPick(md metadata.MD, p *channel.Pick) metadata.MD {
	if len(p.Metadata) == 0 {
		return md
	}
	md = metadata.Join(md, p.Metadata)
	delete(md, pseudoAuthority)
	return md
}

// unpick tells the balancer how the attempt of a unary call has ended.
func (inv *invocation) unpick(err error) {
	if !inv.pick.Watched() {
		return
	}
	info := balancer.DoneInfo{Err: err, BytesSent: true}
	if inv.reply.GotTrailer() {
		info.Trailer = inv.reply.Trailer()
	}
	info.BytesReceived = info.Trailer != nil || inv.reply.GotHeader()
	end(&inv.pick, info)
}

// unpick tells the balancer, once, how an attempt has ended.
func (a *attempt) unpick(err error) {
	if a.pick == nil || a.ended.Swap(true) {
		return
	}
	info := balancer.DoneInfo{Err: err}
	if a.st != nil {
		info.BytesSent = true
		if a.st.GotTrailer() {
			info.Trailer = a.st.Trailer()
		}
		info.BytesReceived = info.Trailer != nil || a.st.GotHeader()
	}
	end(a.pick, info)
}

func end(p *channel.Pick, info balancer.DoneInfo) {
	if info.Trailer != nil {
		info.ServerLoad = balance.Load(info.Trailer)
	}
	p.End(info)
}
