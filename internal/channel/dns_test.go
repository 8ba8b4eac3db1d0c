package channel

import (
	"context"
	"maps"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"
)

// every has the channel look names up each interval, without jitter.
func every(interval, least time.Duration) func(w *world, cfg *Config) {
	return func(_ *world, cfg *Config) { cfg.DNS = DNS{Interval: interval, MinInterval: least} }
}

// both applies one after the other.
func both(a, b func(w *world, cfg *Config)) func(w *world, cfg *Config) {
	return func(w *world, cfg *Config) { a(w, cfg); b(w, cfg) }
}

// failing answers lookups with an error.
func failing(int) ([]string, error) { return nil, errBroken }

func TestDNS_Interval(t *testing.T) {
	for _, tt := range []struct {
		interval time.Duration
		jitter   float64
		random   float64
		want     time.Duration
	}{
		{time.Minute, 0, 0.99, time.Minute},
		{time.Minute, 0.5, 0, 30 * time.Second},
		{time.Minute, 0.5, 0.5, time.Minute},
		{time.Minute, 0.5, 0.75, 75 * time.Second},
		{time.Minute, 1, 0, 0},
	} {
		d := DNS{Interval: tt.interval, Jitter: tt.jitter}
		if got := d.interval(tt.random); got != tt.want {
			t.Errorf("%v with jitter %v is %v for %v, want %v", tt.interval, tt.jitter, got, tt.random, tt.want)
		}
	}
}

// Feature: DNS re-resolution
//
// A connection whose address is gone from the list gets no more calls, and those on
// it finish; new addresses are used though nothing has failed. A lookup that fails
// changes nothing.
func TestDNS_Period(t *testing.T) {
	inWorld(t, "dns:///svc:1", every(time.Minute, 0), func(t *testing.T, w *world) {
		w.names(resolvesTo("10.0.0.1"), failing, resolvesTo("10.0.0.2", "10.0.0.1"), resolvesTo("10.0.0.2"))
		w.serve("10.0.0.1:1")
		w.serve("10.0.0.2:1")
		old := w.mustConnect()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if _, err := old.NewStream(ctx, &transport.Call{Method: "/s/m"}); err != nil {
			t.Fatal(err)
		}
		simnet.Advance(59 * time.Second)
		w.wantLookups(1)
		simnet.Advance(1500 * ms) // the lookup that fails
		w.wantLookups(2)
		w.wantSpread(3, map[string]int{"10.0.0.1:1": 3})
		simnet.Advance(2 * time.Second) // after the backoff: a server beside it
		w.wantLookups(3)
		w.wantSpread(3, map[string]int{"10.0.0.1:1": 3})
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")
		simnet.Advance(time.Minute)
		w.wantLookups(4)
		w.wantSpread(3, map[string]int{"10.0.0.2:1": 3})
		if old.Err() != nil {
			t.Errorf("the old connection has ended with a call on it: %v", old.Err())
		}
		cancel()
		<-old.Done()
	})
}

// Balancers get each list; what is gone from it drains.
func TestDNS_PeriodOfBalancers(t *testing.T) {
	inWorld(t, "dns:///svc:1", both(spreading("round_robin"), every(time.Minute, 0)), func(t *testing.T, w *world) {
		w.names(resolvesTo("10.0.0.1", "10.0.0.2"), failing, resolvesTo("10.0.0.2", "10.0.0.3"))
		for _, a := range []string{"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"} {
			w.serve(a)
		}
		w.mustConnect()
		w.wantSpread(20, map[string]int{"10.0.0.1:1": 10, "10.0.0.2:1": 10})
		simnet.Advance(60 * time.Second)
		w.wantLookups(2)
		w.wantSpread(20, map[string]int{"10.0.0.1:1": 10, "10.0.0.2:1": 10})
		simnet.Advance(2 * time.Second)
		w.wantLookups(3)
		w.wantSpread(20, map[string]int{"10.0.0.2:1": 10, "10.0.0.3:1": 10})
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")
	})
}

// MinInterval counts before Interval, and 30 s is what it is by default; without an
// Interval lookups come with failures alone.
func TestDNS_Least(t *testing.T) {
	for _, tt := range []struct {
		name     string
		interval time.Duration
		least    time.Duration
		want     int // lookups in an hour without a failure
	}{
		{"never", 0, 0, 1},
		{"a minute", time.Minute, 0, 61},
		{"a second is 30", time.Second, 0, 121},
		{"a second that may be", time.Second, time.Second, 3601},
		{"a second is a minute", time.Second, time.Minute, 61},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, "dns:///svc:1", every(tt.interval, tt.least), func(t *testing.T, w *world) {
				w.names(resolvesTo("10.0.0.1"))
				w.serve("10.0.0.1:1")
				w.mustConnect()
				simnet.Advance(time.Hour + ms)
				w.wantLookups(tt.want)
			})
		})
	}
}

// An IDLE channel asks nobody; who connects again asks first.
func TestDNS_Idle(t *testing.T) {
	for name, adapt := range map[string]func(w *world, cfg *Config){
		"pick_first": every(time.Minute, 0), "round_robin": both(spreading("round_robin"), every(time.Minute, 0)),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, "dns:///svc:1", both(adapt, func(_ *world, cfg *Config) { cfg.Transport.IdleTimeout = 90 * time.Second }), func(t *testing.T, w *world) {
				w.names(resolvesTo("10.0.0.1"))
				w.serve("10.0.0.1:1")
				w.mustConnect()
				simnet.Advance(5 * time.Minute)
				w.wantState(connectivity.Idle)
				w.mu.Lock()
				asked := w.asked
				w.mu.Unlock()
				simnet.Advance(time.Hour)
				w.wantLookups(asked)
				w.mustConnect()
				w.wantLookups(asked + 1)
			})
		})
	}
}

// A channel that is IDLE because its server has gone asks nobody either.
func TestDNS_ServerGone(t *testing.T) {
	inWorld(t, "dns:///svc:1", every(time.Minute, 0), func(t *testing.T, w *world) {
		w.names(resolvesTo("10.0.0.1"), resolvesTo("10.0.0.2"))
		h := w.serve("10.0.0.1:1")
		w.serve("10.0.0.2:1")
		w.mustConnect()
		h.stop()
		w.wantState(connectivity.Idle)
		simnet.Advance(time.Hour)
		w.wantLookups(2) // for the connection that ended
		w.mustConnect()
		w.wantDials("0s 10.0.0.1:1", "1h0m0s 10.0.0.2:1")
	})
}

// As without an interval, the one connection that ends has the name looked up at
// once; failures that come then are no reason to.
func TestDNS_ServerMoves(t *testing.T) {
	inWorld(t, "dns:///svc:1", every(time.Hour, 0), func(t *testing.T, w *world) {
		w.names(resolvesTo("10.0.0.1"), resolvesTo("10.0.0.2"), resolvesTo("10.0.0.3"))
		h := w.serve("10.0.0.1:1")
		two := w.serve("10.0.0.2:1")
		w.mustConnect()
		simnet.Advance(5 * time.Second)
		h.stop()
		w.wantState(connectivity.Idle)
		w.wantLookups(2)
		w.mustConnect()
		w.wantDials("0s 10.0.0.1:1", "5s 10.0.0.2:1")
		two.stop()
		simnet.Advance(ms)
		w.wantLookups(3)
		w.ch.Connect() // to nobody
		simnet.Advance(29 * time.Second)
		w.wantLookups(3)
	})
}

// LookupTXT answers as the next of txts does; the last one stays.
func (w *txtWorld) LookupTXT(_ context.Context, name string) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, name)
	f := w.txts[0]
	if len(w.txts) > 1 {
		w.txts = w.txts[1:]
	}
	return f()
}

// txtWorld is a world with TXT records.
type txtWorld struct {
	*world
	txts  []func() ([]string, error)
	asked []string
}

func record(config string) func() ([]string, error) {
	return func() ([]string, error) {
		return []string{"other", `grpc_config=[{"serviceConfig": ` + config + `}]`}, nil
	}
}

func noRecord() ([]string, error) {
	return nil, &net.DNSError{Err: "no such host", Name: "_grpc_config.svc", IsNotFound: true}
}

func brokenRecord() ([]string, error) { return nil, &net.DNSError{Err: "timeout", IsTimeout: true} }

// Feature: service config from DNS TXT records
//
// The config that is in effect follows the record; while that cannot be looked up,
// or is wrong, the one before stays.
func TestDNS_TXT(t *testing.T) {
	var applied []string
	x := &txtWorld{txts: []func() ([]string, error){
		record(`{"n": 1}`), brokenRecord, record(`{"n": 2}`),
		func() ([]string, error) { return []string{"grpc_config=["}, nil }, record(`{"bad": 1}`), noRecord,
	}}
	inWorld(t, "dns:///svc:1", func(w *world, cfg *Config) {
		x.world = w
		cfg.Resolver = x
		cfg.DNS = DNS{Interval: time.Minute, TXT: true}
		cfg.ServiceConfig = func(js string) (ServiceConfig, error) {
			if strings.Contains(js, "bad") {
				return ServiceConfig{}, errBroken
			}
			return ServiceConfig{Apply: func(resolver.State) { x.mu.Lock(); defer x.mu.Unlock(); applied = append(applied, js) }}, nil
		}
	}, func(t *testing.T, w *world) {
		w.names(resolvesTo("10.0.0.1"))
		w.serve("10.0.0.1:1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.ch.AwaitResolver(ctx); err != nil {
			t.Fatal(err)
		}
		x.mu.Lock()
		first := strings.Join(applied, " ")
		x.mu.Unlock()
		if first != `{"n": 1}` {
			t.Errorf("calls begin with %q", first)
		}
		w.mustConnect()
		simnet.Advance(10 * time.Minute)
		x.mu.Lock()
		defer x.mu.Unlock()
		if want := `{"n": 1} {"n": 1} {"n": 2} `; !strings.HasPrefix(strings.Join(applied, " "), want) || applied[len(applied)-1] != "" {
			t.Errorf("in effect were %q, want %q and then none", applied, want)
		}
		if x.asked[0] != "_grpc_config.svc" {
			t.Errorf("it asks for %q", x.asked[0])
		}
	})
}

// A first record that is wrong fails calls and says why; the next that is right
// ends that, soon. One that cannot be looked up is none.
func TestDNS_TXTAtFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		first func() ([]string, error)
		words []string
	}{
		"cut off":     {func() ([]string, error) { return []string{"grpc_config=["}, nil }, []string{"the TXT record of _grpc_config.svc", "no JSON"}},
		"wrong":       {record(`{"bad": 1}`), []string{"the TXT record of _grpc_config.svc", "broken cable"}},
		"none":        {noRecord, nil},
		"unreachable": {brokenRecord, nil},
	} {
		t.Run(name, func(t *testing.T) {
			x := &txtWorld{txts: []func() ([]string, error){tt.first, record(`{}`)}}
			inWorld(t, "dns:///svc:1", func(w *world, cfg *Config) {
				x.world = w
				cfg.Resolver = x
				cfg.DNS.TXT = true
				cfg.ServiceConfig = func(js string) (ServiceConfig, error) {
					if strings.Contains(js, "bad") {
						return ServiceConfig{}, errBroken
					}
					return ServiceConfig{}, nil
				}
			}, func(t *testing.T, w *world) {
				w.names(resolvesTo("10.0.0.1"))
				w.serve("10.0.0.1:1")
				_, err := w.within(time.Second/2, false)
				if tt.words == nil {
					if err != nil {
						t.Fatal(err)
					}
					return
				}
				wantWords(t, err, tt.words...)
				simnet.Advance(2 * time.Second)
				w.mustConnect()
			})
		})
	}
}

// A record may name a balancer, and take it back.
func TestDNS_TXTNamesBalancer(t *testing.T) {
	x := &txtWorld{txts: []func() ([]string, error){record(`{"use": "round_robin"}`), noRecord}}
	inWorld(t, "dns:///svc:1", func(w *world, cfg *Config) {
		spreading("pick_first")(w, cfg)
		x.world = w
		cfg.Resolver = x
		cfg.Balancing.Policy = nil
		cfg.DNS = DNS{Interval: time.Minute, TXT: true}
		cfg.ServiceConfig = func(js string) (ServiceConfig, error) {
			if js == "" {
				return ServiceConfig{}, nil
			}
			return ServiceConfig{Policy: policy("round_robin")}, nil
		}
	}, func(t *testing.T, w *world) {
		w.names(resolvesTo("10.0.0.1", "10.0.0.2"))
		w.serve("10.0.0.1:1")
		w.serve("10.0.0.2:1")
		w.mustConnect()
		w.wantSpread(20, map[string]int{"10.0.0.1:1": 10, "10.0.0.2:1": 10})
		simnet.Advance(time.Minute)
		synctest.Wait()
		if got := w.spread(20); !maps.Equal(got, map[string]int{"10.0.0.1:1": 20}) {
			t.Errorf("without the record calls go to %v, want the first", got)
		}
	})
}
