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
	// Interval is the time from one lookup of the host to the next that is made
	// for no other reason, while the Client is not IDLE. Zero is never: the host is
	// looked up again only when a connection has ended or could not be made, as in
	// grpc-go. For how long an answer of DNS is good (its TTL) Go's resolver does
	// not tell; who knows the TTL of his records takes that.
	Interval time.Duration
	// Jitter is the share of Interval, 0 to 1, by which each is longer or shorter
	// at random, so that many clients do not ask at once. Zero means 0.2.
	Jitter float64
	// MinInterval is the least time between two lookups of which the first has
	// succeeded: 30 s if it is zero, as in grpc-go. It counts before Interval: one
	// that is shorter is as long. Lookups that fail are made again after the
	// backoff of connections. Without a balancer, which has several, a host is also
	// looked up when the connection has ended.
	MinInterval time.Duration
	// TXTServiceConfig has the TXT record of _grpc_config.<host> looked up, with
	// each lookup of the host, and its service config in effect: see WithDNS.
	TXTServiceConfig bool
	// Resolver looks the names up. Nil means net.DefaultResolver, or the name
	// server of a target like dns://server/host.
	Resolver DNSResolver
}

// A DNSResolver looks names up, by several goroutines at a time. *net.Resolver is
// one. For DNS.TXTServiceConfig it has to have LookupTXT too, with the meaning
// that it has there: a *net.DNSError with IsNotFound says that there is no record.
type DNSResolver interface {
	LookupHost(ctx context.Context, host string) (addresses []string, err error)
}

// WithDNS sets how the hosts of dns targets are looked up by weir's own resolver.
// It has no effect on other targets, on IP addresses, on a resolver of the user's
// for the scheme dns, and where a proxy looks the host up. Given twice, the last
// counts. grpc-go has no Interval, and its MinInterval is a variable of the whole
// program.
//
// When a lookup gives other addresses, they are used from then on; a connection to
// one that is there no more gets no more calls, and those on it finish. A lookup
// that fails changes nothing as long as there are addresses of an earlier one.
//
// The service config that a TXT record has comes first, and that of
// WithDefaultServiceConfig is in effect where there is none;
// WithDisableServiceConfig has no record looked up. The record is
// "grpc_config=" and a JSON list of choices, of which the first counts that is for
// this client: clientLanguage has "go", clientHostname has the name of the machine,
// and percentage is drawn once in the life of a Client for each choice (in grpc-go
// with each lookup). What is wrong with it, calls fail with, unless there was a
// service config before, which then stays; a lookup of it that fails changes
// nothing. grpc-go looks TXT records up without being told to.
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
