package main

import (
	"errors"
	"fmt"
	"time"
)

// settings are what a Deployment says.
type settings struct {
	listen string        // LISTEN: the address to serve
	pod    string        // POD_NAME: who answers
	notice time.Duration // NOTICE: how long to serve after SIGTERM
	grace  time.Duration // GRACE: how long open calls have to finish, after that
	age    time.Duration // MAX_CONNECTION_AGE: when clients are to connect again; empty is never
}

func read(getenv func(string) string) (s settings, err error) {
	s.listen, s.pod = getenv("LISTEN"), getenv("POD_NAME")
	if s.listen == "" {
		return s, errors.New("LISTEN: expected an address, as :50051; came none")
	}
	for _, one := range []struct {
		name string
		to   *time.Duration
	}{{"NOTICE", &s.notice}, {"GRACE", &s.grace}, {"MAX_CONNECTION_AGE", &s.age}} {
		text := getenv(one.name)
		if text == "" && one.to == &s.age {
			continue
		}
		if *one.to, err = time.ParseDuration(text); err != nil || *one.to < 0 {
			return s, fmt.Errorf("%s: expected a duration, as 10s; came %q", one.name, text)
		}
	}
	return s, nil
}
