package balance

import (
	"encoding/json"
	"fmt"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/serviceconfig"
)

// pickFirst is the policy of who names none.
const pickFirst = "pick_first"

// Policy is a balancer that a service config names, and what it says to it.
type Policy struct {
	builder balancer.Builder
	config  serviceconfig.LoadBalancingConfig // nil if the balancer reads none
	service *string                           // whose health is checked; may be nil
}

// Check has the health of a service checked: servers where it is not well get no
// calls, if the balancer heeds that. It is for before the first use.
func (p *Policy) Check(service string) { p.service = &service }

// Name gives the name that the balancer is registered with.
func (p *Policy) Name() string { return p.builder.Name() }

// Choose gives the policy of a service config: of list, its loadBalancingConfig,
// the first that is registered; without a list that of name, its
// loadBalancingPolicy, which counts for nothing if it is not registered. Nil means
// pick_first as a channel has it by itself. An error begins with the path of what
// is wrong.
//
// https://github.com/grpc/grpc/blob/master/doc/service_config.md
func Choose(list json.RawMessage, name string) (*Policy, error) {
	if len(list) == 0 {
		b := balancer.Get(name)
		if b == nil || name == pickFirst {
			return nil, nil
		}
		return read("loadBalancingPolicy", b, json.RawMessage("{}"))
	}
	var policies []map[string]json.RawMessage
	if err := json.Unmarshal(list, &policies); err != nil {
		return nil, fmt.Errorf("loadBalancingConfig: %w", err)
	}
	for i, p := range policies {
		if len(p) != 1 {
			return nil, fmt.Errorf("loadBalancingConfig[%d]: it has %d names, and is to have one, that of a balancer", i, len(p))
		}
		for name, config := range p {
			if b := balancer.Get(name); b != nil {
				return read(fmt.Sprintf("loadBalancingConfig[%d].%s", i, name), b, config)
			}
		}
	}
	return nil, fmt.Errorf("loadBalancingConfig: none of its balancers is registered (balancer.Register, or the import of the package that does it): %s", list)
}

// read has a balancer read its configuration.
func read(at string, b balancer.Builder, js json.RawMessage) (*Policy, error) {
	p := &Policy{builder: b}
	parser, ok := b.(balancer.ConfigParser)
	if ok {
		var err error
		if p.config, err = parser.ParseConfig(js); err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
	}
	if b.Name() == pickFirst && !shuffles(js) {
		return nil, nil
	}
	return p, nil
}

// shuffles reports whether a configuration of pick_first, which was read without
// an error, wants what a channel does not do by itself.
func shuffles(js json.RawMessage) bool {
	var c struct {
		ShuffleAddressList bool `json:"shuffleAddressList"`
	}
	return json.Unmarshal(js, &c) == nil && c.ShuffleAddressList
}
