package weir_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// zone is a DNS that the test changes.
type zone struct {
	mu    sync.Mutex
	hosts []string
	txt   string
	asked []string
}

func (z *zone) set(txt string, hosts ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.hosts, z.txt = hosts, txt
}

func (z *zone) LookupHost(_ context.Context, host string) ([]string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked = append(z.asked, host)
	return z.hosts, nil
}

func (z *zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked = append(z.asked, name)
	if z.txt == "" {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return []string{z.txt}, nil
}

func (z *zone) lookups() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return len(z.asked)
}

// hostsOnly is a DNS without TXT records.
type hostsOnly struct{ z *zone }

func (h hostsOnly) LookupHost(ctx context.Context, host string) ([]string, error) {
	return h.z.LookupHost(ctx, host)
}

// Feature: DNS re-resolution
//
// New addresses are used and old ones left though no connection has failed.
func TestWithDNS_Interval(t *testing.T) {
	fl := newFleet(t, 2)
	for _, policy := range policies {
		t.Run(policy, func(t *testing.T) {
			z := &zone{hosts: fl.hosts(0)}
			c := newWeirClient(t, "svc.test:80", weir.WithContextDialer(fl.dial), weir.WithDefaultServiceConfig(policyOf(policy)),
				weir.WithDNS(weir.DNS{Interval: 2 * time.Millisecond, MinInterval: time.Millisecond, Resolver: z}))
			for _, i := range []int{0, 1, 0} {
				z.set("", fl.host(i))
				fl.wantOnly(t, stubOf(c), i)
			}
			c.Close()
		})
	}
}

// Feature: service config from DNS TXT records
//
// It counts for the first call, comes before the default, follows the record, and
// is not asked for without the option.
func TestWithDNS_TXTServiceConfig(t *testing.T) {
	fl := newFleet(t, 1)
	small := `grpc_config=[{"clientLanguage": ["java"], "serviceConfig": {}}, {"clientLanguage": ["go"], "serviceConfig": ` +
		methodConfig(`"maxRequestMessageBytes": 10`) + `}]`
	for _, tt := range []struct {
		name  string
		txt   string
		dns   weir.DNS
		opts  []weir.DialOption
		code  codes.Code
		words []string
		asks  bool
	}{
		{name: "in effect", txt: small, dns: weir.DNS{TXTServiceConfig: true}, code: codes.ResourceExhausted, words: []string{"client's limit is 10"}, asks: true},
		{name: "not asked for", txt: small},
		{name: "disabled", txt: small, dns: weir.DNS{TXTServiceConfig: true}, opts: []weir.DialOption{weir.WithDisableServiceConfig()}},
		{name: "before the default", txt: small, dns: weir.DNS{TXTServiceConfig: true},
			opts: []weir.DialOption{weir.WithDefaultServiceConfig(methodConfig(`"maxRequestMessageBytes": 5`))},
			code: codes.ResourceExhausted, words: []string{"client's limit is 10"}, asks: true},
		{name: "none, and the default", dns: weir.DNS{TXTServiceConfig: true},
			opts: []weir.DialOption{weir.WithDefaultServiceConfig(methodConfig(`"maxRequestMessageBytes": 5`))},
			code: codes.ResourceExhausted, words: []string{"client's limit is 5"}, asks: true},
		{name: "wrong", txt: `grpc_config=[{"serviceConfig": ` + methodConfig(`"timeout": 3`) + `}]`, dns: weir.DNS{TXTServiceConfig: true},
			code: codes.Unavailable, words: []string{"the TXT record of _grpc_config.svc.test", "methodConfig[0].timeout: a JSON number where a string is read"}, asks: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := &zone{hosts: fl.hosts(0), txt: tt.txt}
			tt.dns.Resolver = z
			c := newWeirClient(t, "svc.test:80", append(tt.opts, weir.WithContextDialer(fl.dial), weir.WithDNS(tt.dns))...)
			_, err := stubOf(c).UnaryCall(t.Context(), payload(100))
			wantText(t, err, tt.code, tt.words...)
			c.Close()
			if asks := strings.Contains(strings.Join(z.asked, " "), "_grpc_config.svc.test"); asks != tt.asks {
				t.Errorf("lookups of %q", z.asked)
			}
		})
	}
}

// A record that changes is in effect with the next lookup.
func TestWithDNS_TXTChanges(t *testing.T) {
	fl := newFleet(t, 1)
	z := &zone{hosts: fl.hosts(0)}
	c := newWeirClient(t, "svc.test:80", weir.WithContextDialer(fl.dial), weir.WithDNS(weir.DNS{
		Interval: 2 * time.Millisecond, MinInterval: time.Millisecond, TXTServiceConfig: true, Resolver: z,
	}))
	if _, err := stubOf(c).UnaryCall(t.Context(), payload(100)); err != nil {
		t.Fatal(err)
	}
	z.set(`grpc_config=[{"serviceConfig": `+methodConfig(`"maxRequestMessageBytes": 10`)+`}]`, fl.host(0))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var err error
	for err == nil {
		_, err = stubOf(c).UnaryCall(ctx, payload(100))
	}
	wantText(t, err, codes.ResourceExhausted, "client's limit is 10")
}

func TestWithDNS_Wrong(t *testing.T) {
	for want, d := range map[string]weir.DNS{
		"the Interval -1s":    {Interval: -time.Second},
		"the MinInterval -1s": {MinInterval: -time.Second},
		"the Jitter 1.5":      {Jitter: 1.5},
		"the Jitter -1":       {Jitter: -1},
		"LookupTXT":           {TXTServiceConfig: true, Resolver: hostsOnly{new(zone)}},
	} {
		_, err := weir.NewClient("svc.test", weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithDNS(d))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	fl := newFleet(t, 1)
	z := &zone{hosts: fl.hosts(0)}
	c := newWeirClient(t, "svc.test:80", weir.WithContextDialer(fl.dial), weir.WithDNS(weir.DNS{Resolver: hostsOnly{z}}))
	if _, err := stubOf(c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
		t.Errorf("a resolver of hosts alone: %v", err)
	}
}
