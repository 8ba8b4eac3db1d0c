package serviceconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Config is a service config.
type Config struct {
	methods    map[string]*Method // by "/service/method", "/service/" or "" for all
	Throttling *Throttling        // nil if retries are not throttled

	// Of the balancer, who reads them himself. Nil or empty if they are not there.
	LoadBalancingPolicy string
	LoadBalancingConfig json.RawMessage
	HealthCheck         *string // the service whose health is checked

	MaxConnections *int // to an address; nil if nothing is said
}

// Method is what is said of calls of a method. Its fields are nil if nothing is.
type Method struct {
	Timeout      *time.Duration
	WaitForReady *bool
	MaxRequest   *int // octets
	MaxResponse  *int
	Retry        *Retry
	Hedging      *Hedging // nil if Retry is not
}

// Method gives what is said of the method with that path, "/service/method":
// of itself, else of its service, else of all. It is nil if nothing is.
func (c *Config) Method(path string) *Method {
	if m, ok := c.methods[path]; ok {
		return m
	}
	if m, ok := c.methods[path[:strings.LastIndexByte(path, '/')+1]]; ok {
		return m
	}
	return c.methods[""]
}

// Parse reads a service config. No policy makes more than maxAttempts. Fields
// that it does not know it passes over; one that it knows and that is there twice
// is wrong. An error begins with the path of what is wrong.
func Parse(js string, maxAttempts int) (*Config, error) {
	if js == "" {
		return nil, errors.New("the service config is empty: no policy at all is written {}")
	}
	var whole json.RawMessage
	if err := json.Unmarshal([]byte(js), &whole); err != nil {
		return nil, fault("", err)
	}
	c := &Config{methods: make(map[string]*Method)}
	var methodConfig, throttling, policy, health, scaling json.RawMessage
	_, err := object("", whole, field{"methodConfig", &methodConfig}, field{"retryThrottling", &throttling},
		field{"loadBalancingPolicy", &policy}, field{"loadBalancingConfig", &c.LoadBalancingConfig}, field{"healthCheckConfig", &health},
		field{"connectionScaling", &scaling})
	if err != nil {
		return nil, err
	}
	if !present(c.LoadBalancingConfig) {
		c.LoadBalancingConfig = nil
	}
	if c.HealthCheck, err = readHealthCheck(health); err != nil {
		return nil, err
	}
	if c.MaxConnections, err = readScaling(scaling); err != nil {
		return nil, err
	}
	if err := read("loadBalancingPolicy", policy, &c.LoadBalancingPolicy); err != nil {
		return nil, err
	}
	var methods []json.RawMessage
	if err := read("methodConfig", methodConfig, &methods); err != nil {
		return nil, err
	}
	for i, m := range methods {
		if err := c.method(fmt.Sprintf("methodConfig[%d]", i), m, maxAttempts); err != nil {
			return nil, err
		}
	}
	c.Throttling, err = readThrottling(throttling)
	return c, err
}

// method takes one element of methodConfig.
func (c *Config) method(at string, js json.RawMessage, maxAttempts int) error {
	var name, waitForReady, timeout, maxRequest, maxResponse, retry, hedging json.RawMessage
	_, err := object(at, js, field{"name", &name}, field{"waitForReady", &waitForReady}, field{"timeout", &timeout},
		field{"maxRequestMessageBytes", &maxRequest}, field{"maxResponseMessageBytes", &maxResponse},
		field{"retryPolicy", &retry}, field{"hedgingPolicy", &hedging})
	if err != nil {
		return err
	}
	m := new(Method)
	if m.Timeout, err = readDuration(at+".timeout", timeout); err != nil {
		return err
	}
	if m.WaitForReady, err = readOptional[bool](at+".waitForReady", waitForReady); err != nil {
		return err
	}
	if m.MaxRequest, err = readSize(at+".maxRequestMessageBytes", maxRequest); err != nil {
		return err
	}
	if m.MaxResponse, err = readSize(at+".maxResponseMessageBytes", maxResponse); err != nil {
		return err
	}
	if m.Retry, err = readRetry(at+".retryPolicy", retry, maxAttempts); err != nil {
		return err
	}
	if m.Hedging, err = readHedging(at+".hedgingPolicy", hedging, maxAttempts); err != nil {
		return err
	}
	if m.Retry != nil && m.Hedging != nil {
		return fmt.Errorf("%s.hedgingPolicy: there is a retryPolicy too: a method has one of both", at)
	}
	return c.named(at, name, m)
}

// named enters a method under its names.
func (c *Config) named(at string, js json.RawMessage, m *Method) error {
	var names []json.RawMessage
	if err := read(at+".name", js, &names); err != nil {
		return err
	}
	for i, one := range names {
		at := fmt.Sprintf("%s.name[%d]", at, i)
		service, method, err := readName(at, one)
		if err != nil {
			return err
		}
		path := "/" + service + "/" + method
		switch {
		case service == "" && method != "":
			return fmt.Errorf("%s: a method %q without a service", at, method)
		case service == "":
			path = ""
		}
		if _, ok := c.methods[path]; ok {
			return fmt.Errorf("%s: %q is named before", at, path)
		}
		c.methods[path] = m
	}
	return nil
}

func readName(at string, js json.RawMessage) (service, method string, err error) {
	var s, m json.RawMessage
	if _, err = object(at, js, field{"service", &s}, field{"method", &m}); err != nil {
		return "", "", err
	}
	if err = read(at+".service", s, &service); err != nil {
		return "", "", err
	}
	return service, method, read(at+".method", m, &method)
}
