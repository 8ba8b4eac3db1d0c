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
	HealthCheckConfig   json.RawMessage
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
// that it does not know it passes over. An error begins with the path of what is
// wrong.
func Parse(js string, maxAttempts int) (*Config, error) {
	if js == "" {
		return nil, errors.New("the service config is empty: no policy at all is written {}")
	}
	var raw struct {
		MethodConfig, RetryThrottling, LoadBalancingPolicy, LoadBalancingConfig, HealthCheckConfig json.RawMessage
	}
	if err := json.Unmarshal([]byte(js), &raw); err != nil {
		return nil, fault("", err)
	}
	c := &Config{methods: make(map[string]*Method)}
	if present(raw.LoadBalancingConfig) {
		c.LoadBalancingConfig = raw.LoadBalancingConfig
	}
	if present(raw.HealthCheckConfig) {
		c.HealthCheckConfig = raw.HealthCheckConfig
	}
	if err := read("loadBalancingPolicy", raw.LoadBalancingPolicy, &c.LoadBalancingPolicy); err != nil {
		return nil, err
	}
	var methods []json.RawMessage
	if err := read("methodConfig", raw.MethodConfig, &methods); err != nil {
		return nil, err
	}
	for i, m := range methods {
		if err := c.method(fmt.Sprintf("methodConfig[%d]", i), m, maxAttempts); err != nil {
			return nil, err
		}
	}
	var err error
	c.Throttling, err = readThrottling(raw.RetryThrottling)
	return c, err
}

// method takes one element of methodConfig.
func (c *Config) method(at string, js json.RawMessage, maxAttempts int) error {
	var raw struct {
		Name, WaitForReady, Timeout, MaxRequestMessageBytes, MaxResponseMessageBytes, RetryPolicy, HedgingPolicy json.RawMessage
	}
	if err := read(at, js, &raw); err != nil {
		return err
	}
	m := new(Method)
	var err error
	if m.Timeout, err = readDuration(at+".timeout", raw.Timeout); err != nil {
		return err
	}
	if m.WaitForReady, err = readOptional[bool](at+".waitForReady", raw.WaitForReady); err != nil {
		return err
	}
	if m.MaxRequest, err = readSize(at+".maxRequestMessageBytes", raw.MaxRequestMessageBytes); err != nil {
		return err
	}
	if m.MaxResponse, err = readSize(at+".maxResponseMessageBytes", raw.MaxResponseMessageBytes); err != nil {
		return err
	}
	retries, hedges := at+".retryPolicy", at+".hedgingPolicy"
	if m.Retry, err = readRetry(retries, raw.RetryPolicy, maxAttempts); err != nil {
		return err
	}
	if m.Hedging, err = readHedging(hedges, raw.HedgingPolicy, maxAttempts); err != nil {
		return err
	}
	if m.Retry != nil && m.Hedging != nil {
		return fmt.Errorf("%s: there is a retryPolicy too: a method has one of both", hedges)
	}
	return c.named(at, raw.Name, m)
}

// named enters a method under its names.
func (c *Config) named(at string, js json.RawMessage, m *Method) error {
	var names []struct {
		Service string `json:"service"`
		Method  string `json:"method"`
	}
	if err := read(at+".name", js, &names); err != nil {
		return err
	}
	for i, n := range names {
		at := fmt.Sprintf("%s.name[%d]", at, i)
		path := "/" + n.Service + "/" + n.Method
		switch {
		case n.Service == "" && n.Method != "":
			return fmt.Errorf("%s: a method %q without a service", at, n.Method)
		case n.Service == "":
			path = ""
		}
		if _, ok := c.methods[path]; ok {
			return fmt.Errorf("%s: %q is named before", at, path)
		}
		c.methods[path] = m
	}
	return nil
}
