package balance

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

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
		if b == nil || b.Name() == pickFirst {
			return Default(), nil
		}
		return read("loadBalancingPolicy", b, json.RawMessage("{}"))
	}
	policies, err := readList(list)
	if err != nil {
		return nil, err
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

// readList reads a loadBalancingConfig: what is no object is wrong wherever it is,
// as in grpc-go, and not only where it is the first that is known.
func readList(js json.RawMessage) ([]map[string]json.RawMessage, error) {
	const at = "loadBalancingConfig"
	var list []json.RawMessage
	if err := json.Unmarshal(js, &list); err != nil {
		return nil, fmt.Errorf("%s: it is to be an array of objects, each with the name of a balancer: %s", at, js)
	}
	policies := make([]map[string]json.RawMessage, len(list))
	for i, one := range list {
		if err := json.Unmarshal(one, &policies[i]); err != nil {
			return nil, fmt.Errorf("%s[%d]: it is to be an object, with the name of a balancer: %s", at, i, one)
		}
	}
	return policies, nil
}

// wrong says where in a service config a balancer has found an error, as exactly as
// that tells.
func wrong(at string, err error) error {
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && mismatch.Field != "" {
		// It may be the name in Go, which JSON takes as well.
		at += "." + strings.ToLower(mismatch.Field[:1]) + mismatch.Field[1:]
	}
	return fmt.Errorf("%s: %w", at, err)
}

// read has a balancer read its configuration.
func read(at string, b balancer.Builder, js json.RawMessage) (*Policy, error) {
	p := &Policy{builder: b}
	parser, ok := b.(balancer.ConfigParser)
	if ok {
		var err error
		if p.config, err = parser.ParseConfig(js); err != nil {
			return nil, wrong(at, err)
		}
	}
	if b.Name() == pickFirst && stock(b) && !shuffles(js) {
		return nil, nil
	}
	return p, nil
}

// Default gives the policy of who names none: nil, unless somebody has registered
// a pick_first of his own.
func Default() *Policy {
	b := balancer.Get(pickFirst)
	if b == nil || stock(b) {
		return nil
	}
	p, err := read(pickFirst, b, json.RawMessage("{}"))
	if err != nil {
		return &Policy{builder: b} // it has to do without
	}
	return p
}

// stock reports whether a pick_first is grpc-go's, which a channel has by itself.
func stock(b balancer.Builder) bool {
	return reflect.TypeOf(b).PkgPath() == "google.golang.org/grpc/balancer/pickfirst"
}

// shuffles reports whether a configuration of pick_first, which was read without
// an error, wants what a channel does not do by itself.
func shuffles(js json.RawMessage) bool {
	var c struct {
		ShuffleAddressList bool `json:"shuffleAddressList"`
	}
	return json.Unmarshal(js, &c) == nil && c.ShuffleAddressList
}
