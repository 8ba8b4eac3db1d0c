package balance

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/grpc/balancer"
	_ "google.golang.org/grpc/balancer/pickfirst"
	"google.golang.org/grpc/balancer/roundrobin"
)

// plain is a balancer's builder that reads no configuration.
type plain struct{ balancer.Builder }

func (plain) Name() string { return "balance_test_plain" }

func TestChoose(t *testing.T) {
	balancer.Register(plain{balancer.Get(roundrobin.Name)})
	for _, tt := range []struct{ name, list, deprecated, want, fault string }{
		{name: "nothing"},
		{name: "pick_first", list: `[{"pick_first":{}}]`},
		{name: "pick_first that shuffles", list: `[{"pick_first":{"shuffleAddressList":true}}]`, want: "pick_first"},
		{name: "round_robin", list: `[{"round_robin":{}}]`, want: "round_robin"},
		{name: "the first that is known", list: `[{"x":{}},{"round_robin":{}},{"pick_first":{}}]`, want: "round_robin"},
		{name: "the list before the name", list: `[{"round_robin":{}}]`, deprecated: "pick_first", want: "round_robin"},
		{name: "a name", deprecated: "round_robin", want: "round_robin"},
		{name: "an unknown name", deprecated: "x"},
		{name: "one without a configuration", list: `[{"balance_test_plain":17}]`, want: "balance_test_plain"},
		{name: "none that is known", list: `[{"x":{}}]`, fault: `loadBalancingConfig: none of its balancers is registered`},
		{name: "empty", list: `[]`, fault: "loadBalancingConfig: none"},
		{name: "two names", list: `[{"x":{}},{"x":{},"y":{}}]`, fault: "loadBalancingConfig[1]: it has 2 names"},
		{name: "no list", list: `{}`, fault: "loadBalancingConfig: it is to be an array"},
		{name: "no object behind one that is known", list: `[{"round_robin":{}},3]`, fault: "loadBalancingConfig[1]: it is to be an object"},
		{name: "null", list: `[null]`, fault: "loadBalancingConfig[0]: it has 0 names"},
		{name: "a wrong configuration", list: `[{"pick_first":{"shuffleAddressList":"x"}}]`, fault: "loadBalancingConfig[0].pick_first: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Choose(json.RawMessage(tt.list), tt.deprecated)
			if err != nil || tt.fault != "" {
				if err == nil || tt.fault == "" || !strings.HasPrefix(err.Error(), tt.fault) {
					t.Fatalf("%v, want %q", err, tt.fault)
				}
				return
			}
			got := ""
			if p != nil {
				got = p.Name()
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
