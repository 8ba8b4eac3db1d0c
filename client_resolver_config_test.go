package weir_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/serviceconfig"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// configs is a resolver that gives service configs, and what calls make of them.
type configs struct {
	t *testing.T
	r *manual.Resolver
	c *weir.Client
	f *fleet
}

// withConfigs gives a client whose resolver begins with a config: "" is none.
func withConfigs(t *testing.T, first string, opts ...weir.DialOption) *configs {
	t.Helper()
	f, r := newFleet(t, 2), manual.NewBuilderWithScheme("whatever")
	r.BuildCallback = func(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) {
		s := stateOf(f.hosts(0))
		if first != "" {
			s.ServiceConfig = cc.ParseServiceConfig(first)
		}
		_ = cc.UpdateState(s)
	}
	opts = append([]weir.DialOption{weir.WithResolvers(r), weir.WithContextDialer(f.dial)}, opts...)
	return &configs{t: t, r: r, f: f, c: newWeirClient(t, "whatever:///svc", opts...)}
}

// say has the resolver give a config, and servers, and gives what it is told.
func (c *configs) say(js string, servers ...int) error {
	c.t.Helper()
	var res *serviceconfig.ParseResult
	if js != "" {
		res = c.r.CC().ParseServiceConfig(js)
	}
	s := stateOf(c.f.hosts(servers...))
	s.ServiceConfig = res
	return c.r.CC().UpdateState(s)
}

// wantLimit wants the config in effect to be the one with that limit of requests:
// zero is none.
func (c *configs) wantLimit(limit int) {
	c.t.Helper()
	got := c.c.GetMethodConfig("/s/m").MaxReqSize
	_, err := stubOf(c.c).UnaryCall(c.t.Context(), payload(100))
	switch {
	case limit == 0 && (got != nil || err != nil):
		c.t.Errorf("a limit of %v, and a call ends with %v", got, err)
	case limit != 0 && (got == nil || *got != limit):
		c.t.Errorf("a limit of %v, want %d", got, limit)
	case limit != 0:
		wantText(c.t, err, codes.ResourceExhausted, "service config")
	}
}

// settles waits until ten calls in a row go to those servers, and to all of them.
func (c *configs) settles(servers ...int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	for row, seen := 0, make(map[string]bool); row < 10 || len(seen) < len(servers); row++ {
		var at peer.Peer
		if _, err := stubOf(c.c).EmptyCall(ctx, &testpb.Empty{}, grpc.Peer(&at)); err != nil {
			c.t.Fatal(err)
		}
		who := at.Addr.String()
		if slices.ContainsFunc(servers, func(i int) bool { return c.f.peer(i) == who }) {
			seen[who] = true
		} else {
			row, seen = 0, make(map[string]bool)
		}
	}
}

func limited(limit string) string { return methodConfig(`"maxRequestMessageBytes": ` + limit) }

// Feature: Service config
//
// That of the resolver comes before the default, at any time; one that is wrong is
// refused with the path of what is, and what was stays, but for the addresses.
func TestResolverConfig_Changes(t *testing.T) {
	c := withConfigs(t, "", weir.WithDefaultServiceConfig(limited("5")))
	whom(t, stubOf(c.c), c.f.peer(0))
	c.wantLimit(5)
	for _, step := range []struct {
		js    string
		wrong string
		limit int
	}{
		{js: limited("10"), limit: 10},
		{js: limited("11"), limit: 11},
		{js: limited(`"12"`), wrong: "methodConfig[0].maxRequestMessageBytes: a JSON string", limit: 11},
		{js: "{", wrong: "not JSON", limit: 11},
		{js: `{"loadBalancingConfig": [{"nobody": {}}]}`, wrong: "loadBalancingConfig: none of its balancers is registered", limit: 11},
		{js: `{}`, limit: 0},
		{js: "", limit: 5},
		{js: limited("13"), limit: 13},
	} {
		err := c.say(step.js, 0)
		if step.wrong == "" && err != nil {
			t.Errorf("%s: the resolver is told %v", step.js, err)
		}
		if step.wrong != "" {
			wantWords(t, err, []string{"service config", step.wrong})
		}
		c.wantLimit(step.limit)
	}
	if err := c.say("{", 1); err == nil {
		t.Error("half a config is fine")
	}
	c.f.wantOnly(t, stubOf(c.c), 1)
	c.wantLimit(13)
}

// Feature: Service config
//
// The first config of a resolver is wrong, and there is no other: calls fail and
// say where, also if there is a default, and wait if they are told to.
func TestResolverConfig_FirstIsWrong(t *testing.T) {
	for name, opts := range map[string][]weir.DialOption{
		"no default": nil, "a default": {weir.WithDefaultServiceConfig(limited("5"))},
	} {
		t.Run(name, func(t *testing.T) {
			c := withConfigs(t, `{"methodConfig": [{"name": [{}], "timeout": 1}]}`, opts...)
			_, err := stubOf(c.c).EmptyCall(t.Context(), &testpb.Empty{})
			wantText(t, err, codes.Unavailable, "service config", "methodConfig[0].timeout: a JSON number")
			if err := c.say(limited("10"), 0); err != nil {
				t.Fatal(err)
			}
			whom(t, stubOf(c.c), c.f.peer(0))
			c.wantLimit(10)
		})
	}
	t.Run("it does not count", func(t *testing.T) {
		c := withConfigs(t, "{", weir.WithDisableServiceConfig())
		c.wantLimit(0)
	})
}

// The balancer changes with the config, and what is said of methods with it, while
// calls are made; none fails.
func TestResolverConfig_BalancerChanges(t *testing.T) {
	c := withConfigs(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for ctx.Err() == nil {
			if _, err := stubOf(c.c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
				failed <- err
				return
			}
		}
	}()
	whom(t, stubOf(c.c), c.f.peer(0))
	for range 5 {
		for _, step := range []struct {
			js   string
			want []int
		}{
			{`{"loadBalancingConfig": [{"round_robin": {}}]}`, []int{0, 1}},
			{`{"loadBalancingPolicy": "pick_first"}`, []int{0}},
			{`{"loadBalancingConfig": [{"nobody": {}}, {"round_robin": {}}], "healthCheckConfig": {"serviceName": "s"}}`, []int{0, 1}},
			{"", []int{1}},
		} {
			servers := []int{0, 1}
			if len(step.want) == 1 {
				servers = step.want
			}
			if err := c.say(step.js, servers...); err != nil {
				t.Error(err)
			}
			c.settles(step.want...) // the balancer before serves until the next is ready
		}
	}
	cancel()
	if err := <-failed; err != nil {
		t.Errorf("a call failed: %v", err)
	}
}

// What retries have used up of their tokens stays used up while the throttling is
// the same, and is given back by another.
func TestResolverConfig_Tokens(t *testing.T) {
	throttled := func(tokens string) string {
		return `{"retryThrottling": {"maxTokens": ` + tokens + `, "tokenRatio": 0.1}, "methodConfig": [{"name": [{}], "retryPolicy":
			{"maxAttempts": 2, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["DATA_LOSS"]}}]}`
	}
	c := withConfigs(t, throttled("4"))
	attempts := func() (n int) {
		t.Helper()
		before := c.c.InspectClient(0).Calls.Started
		in := payload(1)
		in.ResponseStatus = &testpb.EchoStatus{Code: int32(codes.DataLoss)}
		_, err := stubOf(c.c).UnaryCall(t.Context(), in)
		wantText(t, err, codes.DataLoss)
		return int(c.c.InspectClient(0).Calls.Started - before)
	}
	for i, want := range []int{2, 1, 1} { // each failed attempt is a token, and half of them have to be there
		if got := attempts(); got != want {
			t.Errorf("call %d has %d attempts, want %d", i, got, want)
		}
	}
	if err := c.say(throttled("4"), 0); err != nil {
		t.Error(err)
	}
	if got := attempts(); got != 1 {
		t.Errorf("after the same config again: %d attempts, want 1", got)
	}
	if err := c.say(throttled("5"), 0); err != nil {
		t.Error(err)
	}
	if got := attempts(); got != 2 {
		t.Errorf("after another one: %d attempts, want 2", got)
	}
}
