package serviceconfig

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	_ "google.golang.org/grpc/balancer/autosharding"
	_ "google.golang.org/grpc/balancer/grpclb"
	_ "google.golang.org/grpc/balancer/leastrequest"
	_ "google.golang.org/grpc/balancer/randomsubsetting"
	_ "google.golang.org/grpc/balancer/ringhash"
	_ "google.golang.org/grpc/balancer/rls"
	_ "google.golang.org/grpc/balancer/weightedroundrobin"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	_ "google.golang.org/grpc/xds"
)

// theirs gives the parser of grpc-go, which it lends to resolvers.
func theirs(tb testing.TB) func(js string) (*grpc.ServiceConfig, error) { //nolint:staticcheck // there is no other way to it
	tb.Helper()
	r := manual.NewBuilderWithScheme("parser")
	r.InitialState(resolver.State{})
	conn, err := grpc.NewClient("parser:///x", grpc.WithResolvers(r), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	conn.Connect()                                        // builds the resolver, which has no address to dial
	return func(js string) (*grpc.ServiceConfig, error) { //nolint:staticcheck // the same
		res := r.CC().ParseServiceConfig(js)
		sc, _ := res.Config.(*grpc.ServiceConfig) //nolint:staticcheck // the same
		return sc, res.Err
	}
}

// ours reads a config as NewClient does. An error is without what NewClient says
// before it.
func ours(tb testing.TB, js string) (c *weir.Client, wrong string) {
	tb.Helper()
	c, err := weir.NewClient("passthrough:///x", weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithDefaultServiceConfig(js))
	if err == nil {
		return c, ""
	}
	said, ok := strings.CutPrefix(err.Error(), "weir: WithDefaultServiceConfig: ")
	if !ok {
		tb.Fatalf("the error does not say which option: %v", err)
	}
	return nil, said
}

// path is how an error of weir begins: with where it is, or with what it is if it is
// everywhere.
var path = regexp.MustCompile(`^((the service config is (empty|not JSON as it should be): )|(methodConfig|loadBalancingConfig|loadBalancingPolicy|retryThrottling|healthCheckConfig)(\[\d+\])?(\.[A-Za-z_]+(\[\d+\])*)*: )`)

// strict is where weir is stricter than grpc-go: what grpc-go does not read, or
// reads without a check. It takes durations with signs where there is no place for
// one, such as "+1s" and "1.-5s".
var strict = regexp.MustCompile(`^retryThrottling\.(maxTokens|tokenRatio): |^methodConfig\[\d+\]\.hedgingPolicy|^methodConfig\[\d+\]\.retryPolicy\.\w+: |: it is there twice$|: "[^"]+[+-][^"]*s" is no duration|: "\+[^"]*s" is no duration`)

// compare wants the same of both, but for where weir is stricter.
func compare(t *testing.T, parse func(js string) (*grpc.ServiceConfig, error), js string) (wrong string, theirErr error) { //nolint:staticcheck // the same
	t.Helper()
	want, theirErr := parse(js)
	c, wrong := ours(t, js)
	if c != nil {
		defer c.Close()
	}
	switch {
	case wrong != "" && !path.MatchString(wrong):
		t.Errorf("%.300s\nan error without its path: %s", js, wrong)
	case wrong == "" && theirErr != nil:
		t.Errorf("%.300s\nis refused by grpc-go alone: %v", js, theirErr)
	case wrong != "" && theirErr == nil && !strict.MatchString(wrong):
		t.Errorf("%.300s\nis refused by weir alone: %s", js, wrong)
	}
	if wrong != "" || theirErr != nil {
		return wrong, theirErr
	}
	for name, m := range want.Methods {
		if got := c.GetMethodConfig(name); !reflect.DeepEqual(got, m) {
			t.Errorf("%.300s\n%q has %+v, in grpc-go %+v", js, name, got, m)
		}
	}
	return "", nil
}

// Feature: Service config
//
// weir takes what grpc-go takes and means the same by it, with every balancer that
// grpc-go has, and refuses what grpc-go refuses, with the path of what is wrong.
func TestServiceConfig_AsGRPCGo(t *testing.T) {
	for _, name := range balancers {
		if balancer.Get(name) == nil {
			t.Errorf("the balancer %s is not registered", name)
		}
	}
	parse := theirs(t)
	seen := make(map[string]bool)
	for _, s := range corpus() {
		if seen[s.js] {
			t.Errorf("%s is there twice", s.js)
		}
		seen[s.js] = true
		wrong, theirErr := compare(t, parse, s.js)
		if !strings.HasPrefix(wrong, s.wrong) || wrong != "" && s.wrong == "" {
			t.Errorf("%.300s\ngives %q, want what begins with %q", s.js, wrong, s.wrong)
		}
		if s.wrong != "" && (theirErr == nil) != s.stricter {
			t.Errorf("%.300s\nis refused by grpc-go: %v, want %v", s.js, theirErr != nil, !s.stricter)
		}
	}
	t.Logf("%d configs", len(seen))
}

// Each config is taken or refused by both. The parsers of some balancers panic: that
// says nothing of weir.
func FuzzServiceConfig(f *testing.F) {
	for _, s := range corpus() {
		f.Add(s.js)
	}
	parse := theirs(f)
	f.Fuzz(func(t *testing.T, js string) {
		if panics(parse, js) {
			t.Skip("grpc-go panics")
		}
		compare(t, parse, js)
	})
}

func panics(parse func(js string) (*grpc.ServiceConfig, error), js string) (it bool) { //nolint:staticcheck // the same
	defer func() { it = recover() != nil }()
	_, _ = parse(js)
	return false
}
