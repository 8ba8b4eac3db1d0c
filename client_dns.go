package weir

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-rpc/weir/internal/channel"
)

// DNS says what a Client asks about the host of a dns target, and how often. The
// zero value is what Clients do without WithDNS.
type DNS struct {
	// Interval is the time from one lookup of the host to the next one, if nothing
	// else asks for one, while the Client is not IDLE. Zero means never: then the
	// host is looked up again only when a connection has ended or could not be
	// made, as in grpc-go. Go's resolver does not tell for how long an answer is
	// good (its TTL); who knows the TTL takes that. NewClient fails with a negative
	// one.
	Interval time.Duration
	// Jitter is the share of Interval, from 0 to 1, by which each interval is
	// longer or shorter at random, so that many clients do not ask at the same
	// time. Zero means 0.2.
	Jitter float64
	// MinInterval is the least time from a lookup that has succeeded to the next
	// one. Zero means 30 s, as in grpc-go. It counts before Interval, which is
	// never shorter than this. A lookup that fails is made again after the backoff
	// of connections. Without a balancer a host is also looked up when the
	// connection has ended.
	MinInterval time.Duration
	// TXTServiceConfig makes the Client look up the TXT record of
	// _grpc_config.<host> with each lookup of the host, for the service config that
	// it has: see WithDNS.
	TXTServiceConfig bool
	// Resolver looks the names up. Nil means net.DefaultResolver, or the name
	// server of a target like dns://server/host.
	Resolver DNSResolver
}

// A DNSResolver looks names up. Several goroutines call it at a time.
// *net.Resolver is one. For DNS.TXTServiceConfig it needs the method LookupTXT
// of *net.Resolver, too: a *net.DNSError with IsNotFound says that there is no
// record.
type DNSResolver interface {
	// LookupHost gives the IP addresses of a host, as the method of *net.Resolver
	// does.
	LookupHost(ctx context.Context, host string) (addresses []string, err error)
}

// WithDNS sets how weir's own resolver looks up the hosts of dns targets. It
// has no effect on other targets, on IP addresses, on a resolver for the scheme
// dns of WithResolvers, and where a proxy looks the host up. Given twice, the
// last counts. grpc-go has no Interval, and its MinInterval is a variable of
// the whole program.
//
// When a lookup gives other addresses, they are used from then on. A connection
// to an address that is gone gets no more calls, and those on it finish. A
// lookup that fails changes nothing as long as there are addresses of an
// earlier one.
//
// The service config of a TXT record counts before that of
// WithDefaultServiceConfig. With WithDisableServiceConfig no record is looked
// up. The record is "grpc_config=" and a JSON list of choices. The first choice
// that is for this client counts: clientLanguage has "go", clientHostname has
// the name of the machine, and percentage is drawn once in the life of a Client
// for each choice (in grpc-go with each lookup). A config that is wrong fails
// calls, unless there was another one before, which then stays. A lookup of the
// record that fails changes nothing. grpc-go looks TXT records up by default.
//
// https://github.com/grpc/proposal/blob/master/A2-service-configs-in-dns.md
func WithDNS(d DNS) DialOption {
	return dialOption(func(c *clientConfig) { c.network.dns = d })
}

// defaultJitter is that of DNS.
const defaultJitter = 0.2

// check finds what cannot be meant.
func (d *DNS) check() error {
	switch {
	case d.Interval < 0:
		return fmt.Errorf("weir: WithDNS: the Interval %v is negative: zero is never", d.Interval)
	case d.MinInterval < 0:
		return fmt.Errorf("weir: WithDNS: the MinInterval %v is negative: zero is 30 s", d.MinInterval)
	case !(d.Jitter >= 0 && d.Jitter <= 1):
		return fmt.Errorf("weir: WithDNS: the Jitter %v is not in 0 to 1", d.Jitter)
	}
	if _, ok := d.Resolver.(channel.TXTResolver); d.TXTServiceConfig && d.Resolver != nil && !ok {
		return errors.New("weir: WithDNS: TXTServiceConfig needs a Resolver with the method LookupTXT of *net.Resolver")
	}
	return nil
}

func (d *DNS) channel() channel.DNS {
	jitter := d.Jitter
	if jitter == 0 {
		jitter = defaultJitter
	}
	return channel.DNS{Interval: d.Interval, Jitter: jitter, MinInterval: d.MinInterval, TXT: d.TXTServiceConfig}
}
