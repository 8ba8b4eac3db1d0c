package main

import (
	"errors"
	"fmt"
	"time"
)

// settings are what a Deployment says.
type settings struct {
	target   string        // TARGET: the Service, as dns:///service.namespace.svc.cluster.local:50051
	dns      time.Duration // DNS_INTERVAL: between two lookups of the Service
	interval time.Duration // INTERVAL: between two calls
	timeout  time.Duration // TIMEOUT: of a call
}

func read(getenv func(string) string) (s settings, err error) {
	if s.target = getenv("TARGET"); s.target == "" {
		return s, errors.New("TARGET: expected a Service, as dns:///service.namespace.svc.cluster.local:50051; came none")
	}
	for _, one := range []struct {
		name string
		to   *time.Duration
	}{{"DNS_INTERVAL", &s.dns}, {"INTERVAL", &s.interval}, {"TIMEOUT", &s.timeout}} {
		text := getenv(one.name)
		if *one.to, err = time.ParseDuration(text); err != nil || *one.to <= 0 {
			return s, fmt.Errorf("%s: expected a duration above zero, as 10ms; came %q", one.name, text)
		}
	}
	return s, nil
}
