package weir_test

import (
	"context"
	"errors"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
)

// wantWords wants an error that has all the words.
func wantWords(t *testing.T, err error, words []string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

var errNoDial = errors.New("not today")

// dials has the addresses that a dialer got, which fails.
type dials struct {
	mu    sync.Mutex
	start time.Time
	list  []string
	times []time.Duration
}

func (d *dials) dial(_ context.Context, address string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, address)
	d.times = append(d.times, time.Since(d.start))
	return nil, errNoDial
}

// at gives the times of the dials.
func (d *dials) at() []time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.times)
}

// sorted gives each address once.
func (d *dials) sorted() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.Sort(d.list)
	return slices.Compact(d.list)
}

func TestConnectParams(t *testing.T) {
	noJitter := backoff.DefaultConfig
	noJitter.Jitter = 0
	tests := []struct {
		name   string
		params grpc.ConnectParams
		want   []int64 // milliseconds of the dials in the first ten seconds
	}{
		{"gRPC's without jitter", grpc.ConnectParams{Backoff: noJitter}, []int64{0, 1000, 2600, 5160, 9256}},
		{"a base alone", grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 2 * time.Second}}, []int64{0, 2000, 5200}},
		{"a constant", grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 3 * time.Second, Multiplier: 1}}, []int64{0, 3000, 6000, 9000}},
		{"a limit", grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: time.Second, Multiplier: 2, MaxDelay: 4 * time.Second}}, []int64{0, 1000, 3000, 7000}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &dials{start: time.Now()}
				c := newWeirClient(t, "passthrough:///a", weir.WithContextDialer(d.dial), weir.WithConnectParams(tt.params))
				c.Connect()
				simnet.Advance(10 * time.Second)
				c.Close()
				var got []int64
				for _, at := range d.at() {
					got = append(got, at.Milliseconds())
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("dialed at %v ms, want %v", got, tt.want)
				}
			})
		})
	}
}

// Zero parameters are gRPC's, jitter included: not an attempt after the other.
func TestConnectParamsOfZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dials{start: time.Now()}
		c := newWeirClient(t, "passthrough:///a", weir.WithContextDialer(d.dial), weir.WithConnectParams(grpc.ConnectParams{}))
		c.Connect()
		simnet.Advance(800*time.Millisecond - 1)
		if n := len(d.at()); n != 1 {
			t.Errorf("%d attempts in less than 800 ms", n)
		}
		simnet.Advance(400*time.Millisecond + 1)
		if n := len(d.at()); n != 2 {
			t.Errorf("%d attempts in 1.2 s, want 2", n)
		}
		c.Close()
	})
}

func TestConnectParamsOutOfRange(t *testing.T) {
	for name, p := range map[string]grpc.ConnectParams{
		"base":       {Backoff: backoff.Config{BaseDelay: -1}},
		"limit":      {Backoff: backoff.Config{MaxDelay: -1}},
		"timeout":    {MinConnectTimeout: -1},
		"multiplier": {Backoff: backoff.Config{Multiplier: math.NaN()}},
		"jitter":     {Backoff: backoff.Config{Jitter: 1.1}},
		"no jitter":  {Backoff: backoff.Config{Jitter: -0.1}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := weir.NewClient("a:80", weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithConnectParams(p))
			if err == nil {
				t.Fatal("NewClient accepts it")
			}
			wantWords(t, err, []string{"weir: ", "WithConnectParams"})
		})
	}
}

// Row A114: what can never work is an error of NewClient.
func TestTargetThatCannotWork(t *testing.T) {
	for _, target := range []string{"", "host:", "host:70000", "xds:///svc", "unix:", "dns:///"} {
		if c, err := weir.NewClient(target, weir.WithTransportCredentials(insecure.NewCredentials())); err == nil {
			t.Errorf("%q gives a client", target)
			c.Close()
		}
	}
}

// A dialer gets what grpc-go's would get.
// Row B3: the user's dialer is asked, with the address that grpc-go would give
// it.
func TestDialerGetsTheAddressOfGRPC(t *testing.T) {
	for _, target := range []string{
		"passthrough:///bufnet", "passthrough:///host:80", "passthrough:///unix:///run/s",
		"127.0.0.1:80", "127.0.0.1", "[::1]:80", "localhost:80", ":80", "dns:///localhost",
		"unix:run/s", "unix:///run/s", "unix:/run/s", "unix-abstract:name",
	} {
		t.Run(target, func(t *testing.T) {
			var got, want dials
			ours := newWeirClient(t, target, weir.WithContextDialer(got.dial))
			ours.Connect()
			until(t, ours, connectivity.TransientFailure)
			theirs := newGRPCClient(t, target, grpc.WithContextDialer(want.dial))
			theirs.Connect()
			until(t, theirs, connectivity.TransientFailure)
			ours.Close()
			theirs.Close()
			if !slices.Equal(got.sorted(), want.sorted()) {
				t.Errorf("the dialer gets %q, grpc-go's %q", got.list, want.list)
			}
		})
	}
}
