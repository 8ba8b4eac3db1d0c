package channel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/weir-rpc/weir/internal/serviceconfig"
	"google.golang.org/grpc/resolver"
	grpcconfig "google.golang.org/grpc/serviceconfig"
)

// DNS says what is asked about the host of a dns target, and how often.
type DNS struct {
	// Interval is the time between a lookup and the next that nobody has asked
	// for, while the channel is not IDLE. Zero is never.
	Interval time.Duration
	// Jitter is the share of Interval by which it is shorter or longer at random.
	Jitter float64
	// MinInterval is the least time between two successful lookups, whatever
	// Interval says. Zero means 30 s.
	MinInterval time.Duration
	// TXT has the service config looked up.
	TXT bool
}

func (d *DNS) rest() time.Duration {
	if d.MinInterval == 0 {
		return minResolutionInterval
	}
	return d.MinInterval
}

// interval is the time until the next lookup; random is in [0, 1).
func (d *DNS) interval(random float64) time.Duration {
	return time.Duration(float64(d.Interval) * (1 + d.Jitter*(2*random-1)))
}

// listed reports whether the lookups of a target are a listing's affair.
func (d *DNS) listed(t *Target) bool { return t.Lookup && (d.Interval > 0 || d.TXT) }

// A TXTResolver is a Resolver that looks TXT records up too. *net.Resolver is one.
type TXTResolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// txt is the service config of a name.
//
// https://github.com/grpc/proposal/blob/master/A2-service-configs-in-dns.md
type txt struct {
	resolver TXTResolver
	chooser  serviceconfig.Chooser

	name string
	js   string // empty if there is none
	err  error  // of what was found
}

// look begins a lookup, and gives what ends it. When it fails, what an earlier one
// has found stays; where there is none, there is no service config.
func (t *txt) look(ctx context.Context, host string) (end func()) {
	if t == nil {
		return func() {}
	}
	t.name = "_grpc_config." + host
	var records []string
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		records, err = t.resolver.LookupTXT(ctx, t.name)
	}()
	return func() {
		<-done
		if absent, ok := errors.AsType[*net.DNSError](err); ok && absent.IsNotFound {
			records, err = nil, nil
		}
		if err == nil {
			t.choose(records)
		}
	}
}

func (t *txt) choose(records []string) {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = ""
	}
	t.js, t.err = t.chooser.Choose(records, hostname, rand.Float64)
}

// parsed gives what was found, as resolvers give it: nil if there is none.
func (t *txt) parsed(cc resolver.ClientConn) *grpcconfig.ParseResult {
	if t == nil || t.js == "" && t.err == nil {
		return nil
	}
	r := &grpcconfig.ParseResult{Err: t.err}
	if r.Err == nil {
		r = cc.ParseServiceConfig(t.js)
	}
	if r.Err != nil {
		r = &grpcconfig.ParseResult{Err: fmt.Errorf("the TXT record of %s: %w", t.name, r.Err)}
	}
	return r
}
