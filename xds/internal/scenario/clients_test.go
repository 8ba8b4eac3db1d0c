package scenario

import (
	"cmp"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	weirxds "github.com/weir-rpc/weir/xds"
	"github.com/weir-rpc/weir/xds/internal/controlplane"
	"github.com/weir-rpc/weir/xds/internal/fleet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/xds"
)

// patience is for what has to happen, and for each call.
const patience = 30 * time.Second

// how a client is made. Zero fields are those of most scenarios.
type how struct {
	bootstrap []byte                           // nil: of the control plane
	creds     credentials.TransportCredentials // nil: none
	target    string                           // "": xds:///shelf
	idle      time.Duration                    // 0: the default
}

// A conn is a client of either kind.
type conn interface {
	grpc.ClientConnInterface
	Close() error
}

// A dialer makes clients of one kind. Without a resolver they have that which is
// registered.
type dialer func(h how, b resolver.Builder) (conn, error)

func dialGRPCGo(h how, b resolver.Builder) (conn, error) {
	opts := []grpc.DialOption{grpc.WithTransportCredentials(h.creds)}
	if b != nil {
		opts = append(opts, grpc.WithResolvers(b))
	}
	if h.idle > 0 {
		opts = append(opts, grpc.WithIdleTimeout(h.idle))
	}
	return grpc.NewClient(h.target, opts...)
}

type kind struct {
	name string
	dial dialer
	lax  bool
}

func dialWeir(h how, b resolver.Builder) (conn, error) {
	opts := []weir.DialOption{weir.WithTransportCredentials(h.creds)}
	if b != nil {
		opts = append(opts, weir.WithResolvers(weirxds.Host(b)))
	}
	if h.idle > 0 {
		opts = append(opts, weir.WithIdleTimeout(h.idle))
	}
	return weir.NewClient(h.target, opts...)
}

// dialers are the kinds of clients by their names. With grpc-go's calls may fail that
// must not with weir's: with "unknown cluster selected" while routes move to a new
// cluster, because it routes by them before its balancer knows the cluster; and when
// servers restart so fast that each is in the backoff of its first attempt.
var dialers = []kind{
	{"grpc-go", dialGRPCGo, true},
	{"weir", dialWeir, false},
}

// A world is a control plane with a client of one kind, which asks for the listener
// shelf.
type world struct {
	*controlplane.Server
	t    *testing.T
	dial dialer
	cc   conn

	// lax: calls may fail. See dialers.
	lax bool
}

// each runs a scenario with a client of each kind.
func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	for _, d := range dialers {
		t.Run(d.name, func(t *testing.T) { f(t, d.world(t)) })
	}
}

// eachBeside is each for tests that do little but wait, of all kinds at once.
func eachBeside(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	for _, d := range dialers {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			f(t, d.world(t))
		})
	}
}

func (d kind) world(t *testing.T) *world {
	t.Helper()
	return &world{Server: controlplane.Start(t), t: t, dial: d.dial, lax: d.lax}
}

// start sets the first config, and makes the client.
func (w *world) start(c controlplane.Config) {
	w.t.Helper()
	w.Set(c)
	w.open(how{})
}

// open makes the client. It is closed with the test.
func (w *world) open(h how) {
	w.t.Helper()
	if h.bootstrap == nil {
		h.bootstrap = w.Bootstrap(controlplane.Client{})
	}
	if h.creds == nil {
		h.creds = insecure.NewCredentials()
	}
	h.target = cmp.Or(h.target, "xds:///shelf")
	b, err := xds.NewXDSResolverWithConfigForTesting(h.bootstrap)
	if err != nil {
		w.t.Fatal(err)
	}
	cc, err := w.dial(h, b)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { cc.Close() })
	w.cc = cc
}

// within is the time for something to happen.
func (w *world) within() context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	w.t.Cleanup(cancel)
	return ctx
}

// update sets a config and waits until it is accepted.
func (w *world) update(c controlplane.Config) {
	w.t.Helper()
	if err := w.WaitAccepted(w.within(), w.Set(c)); err != nil {
		w.t.Fatal(err)
	}
}

// call says who answered. headers are names and values.
func (w *world) call(headers ...string) (*testpb.SimpleResponse, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	return testpb.NewTestServiceClient(w.cc).UnaryCall(metadata.AppendToOutgoingContext(ctx, headers...), &testpb.SimpleRequest{})
}

// answered makes n calls, none of which may fail, and counts who answered.
func (w *world) answered(n int, headers ...string) map[string]int {
	w.t.Helper()
	by := make(map[string]int)
	for range n {
		r, err := w.call(headers...)
		if err != nil {
			w.t.Fatal(err)
		}
		by[r.GetServerId()]++
	}
	return by
}

// only makes calls until ten in a row were answered by name. If fail is false none
// may fail on the way there.
func (w *world) only(name string, fail bool, headers ...string) {
	w.t.Helper()
	w.until("only "+name+" answers", func(last []answer) bool {
		for _, a := range last {
			if a.by != name {
				return false
			}
		}
		return len(last) == 10
	}, fail, headers...)
}

// an answer has the name, or the error.
type answer struct {
	by  string
	err error
}

// until makes calls until the last ten please.
func (w *world) until(what string, please func(last []answer) bool, fail bool, headers ...string) {
	w.t.Helper()
	var last []answer
	for end := time.Now().Add(patience); len(last) == 0 || !please(last); {
		r, err := w.call(headers...)
		if err != nil && !fail {
			w.t.Fatalf("a call failed before %s: %v", what, err)
		}
		last = append(last, answer{r.GetServerId(), err})
		last = last[max(0, len(last)-10):]
		if time.Now().After(end) {
			w.t.Fatalf("waited for: %s. The last calls: %v", what, last)
		}
	}
}

// fails makes calls until one ends with code, and gives its words.
func (w *world) fails(code codes.Code, headers ...string) string {
	w.t.Helper()
	for end := time.Now().Add(patience); ; {
		_, err := w.call(headers...)
		if err != nil && status.Code(err) == code {
			return status.Convert(err).Message()
		}
		if time.Now().After(end) {
			w.t.Fatalf("a call ended with %v, want %v", err, code)
		}
	}
}

// says makes calls until one ends with code and these words. gRPC's resolver says
// first that there is nothing, and why only then.
func (w *world) says(code codes.Code, words string) {
	w.t.Helper()
	for end := time.Now().Add(patience); ; {
		got := w.fails(code)
		if strings.Contains(got, words) {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("calls end with %q, without %q", got, words)
		}
	}
}

// between is a bound of what chance may do.
func between(t *testing.T, by map[string]int, name string, low, high int) {
	t.Helper()
	if n := by[name]; n < low || n > high {
		t.Errorf("%s answered %d calls, want %d to %d; all: %v", name, n, low, high, by)
	}
}

// addrs of backends.
func addrs(bs ...*fleet.Backend) []string {
	out := make([]string, len(bs))
	for i, b := range bs {
		out[i] = b.Addr()
	}
	return out
}

// shelf is the listener of most scenarios, with routes.
func shelf(routes ...controlplane.Route) []controlplane.Listener {
	return []controlplane.Listener{{Name: "shelf", Routes: routes}}
}

// simple has one route to one cluster.
func simple(cluster controlplane.Cluster) controlplane.Config {
	return controlplane.Config{
		Listeners: shelf(controlplane.Route{Clusters: controlplane.To(cluster.Name)}),
		Clusters:  []controlplane.Cluster{cluster},
	}
}
