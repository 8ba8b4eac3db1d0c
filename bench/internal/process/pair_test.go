package process

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// TestPeers measures a scenario of each kind for a moment, with two peers, and so
// each of the peers in some. That all of them can do all is package load's.
func TestPeers(t *testing.T) {
	all, usual := peers.All()
	kinds := "^(unary/32B/16|unary/32B/128x8|deadline/32B/1|observed/32B/1|tls/32B/1|tls/stream/64KiB/16|bidi/32B/16|stream/64KiB/16|mixed/bulk|slow/sleep/128|slow/cpu/16|churn/32B|open/50|link/40ms/16|slots/50ms/1000|round_robin/unary/32B/16|round_robin/deadline/32B/128|round_robin/observed/32B/128|round_robin/tls/32B/128|round_robin/bidi/32B/128|round_robin/stream/64KiB/16)$"
	some, err := scenario.Select(scenario.All(), kinds)
	if err != nil {
		t.Fatal(err)
	}
	measured := make(map[string]int)
	for _, s := range some {
		if s.Shape == scenario.Open {
			s.Rate = 10_000
		}
		if s.Burn > 0 {
			s.Turns = 1000
		}
		if s.Slots > 0 {
			s.Outstanding = 2 * s.Slots // each hundred is a round trip
		}
		var able []peers.Peer
		for _, p := range all[:usual] {
			if p.Lacks(s) == "" && p.Measures(s) {
				able = append(able, p)
			}
		}
		// Those that were measured least.
		slices.SortStableFunc(able, func(a, b peers.Peer) int { return measured[a.Name] - measured[b.Name] })
		for _, p := range able[:min(2, len(able))] {
			measured[p.Name]++
			t.Run(s.Name+"/"+p.Name, func(t *testing.T) { measure(t, p, s) })
		}
	}
	for _, p := range all[:usual] {
		if measured[p.Name] == 0 {
			t.Errorf("%s was not measured", p.Name)
		}
	}
}

func measure(t *testing.T, p peers.Peer, s scenario.Scenario) {
	t.Helper()
	pair, err := Start(t.Context(), programs(t), p, s)
	if err != nil {
		t.Fatal(err)
	}
	// A busy machine may come to the middle of so short a run when it is over, and
	// hardly of a second.
	glanced := false
	d := 5*time.Millisecond + 2*s.Delay
	for n := 0; n < 2 || n < 20 && !glanced; n++ {
		r, err := pair.Run(d)
		if err != nil {
			t.Fatal(err)
		}
		if r.Client.Used.CPU <= 0 || r.Server.Used.CPU <= 0 || r.Server.Used.Allocs == 0 {
			t.Errorf("the client used %+v, the server %+v", r.Client.Used, r.Server.Used)
		}
		glanced = glanced || r.Client.Midway.Goroutines > 0 && r.Server.Midway.RSS > 0
		d = min(2*d, max(d, time.Second))
	}
	if !glanced {
		t.Error("nobody looked at what the processes held")
	}
	if err := pair.Stop(); err != nil {
		t.Error(err)
	}
	if err := pair.Stop(); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
}

// TestIdle opens a few of what the benchmark opens thousands of.
func TestIdle(t *testing.T) {
	t.Parallel()
	all, usual := peers.All()
	for _, s := range []scenario.Scenario{
		{Name: "connections", Shape: scenario.IdleConns, Payload: 32, Outstanding: 40, Connections: 1},
		{Name: "secured", Shape: scenario.IdleConns, Payload: 32, Outstanding: 40, Connections: 1, TLS: true},
		{Name: "addresses", Shape: scenario.IdleAddresses, Payload: 32, Outstanding: 40, Connections: 1},
		{Name: "streams", Shape: scenario.IdleStreams, Payload: 32, Outstanding: 400, Connections: 1},
	} {
		for _, p := range all[:usual] {
			if p.Lacks(s) == "" && p.Measures(s) {
				t.Run(s.Name+"/"+p.Name, func(t *testing.T) {
					t.Parallel() // most of it is leaving alone
					open(t, p, s)
				})
			}
		}
	}
}

func open(t *testing.T, p peers.Peer, s scenario.Scenario) {
	t.Helper()
	pair, err := Start(t.Context(), programs(t), p, s)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pair.Open()
	if err != nil {
		t.Fatal(err)
	}
	for name, side := range map[string]BeforeAfter{"client": r.Idle.Client, "server": r.Idle.Server} {
		if grown := int64(side.After.Heap) - int64(side.Before.Heap); grown < int64(s.Outstanding)*100 {
			t.Errorf("the heap of the %s grew by %d octets with %d %s", name, grown, s.Outstanding, s.Name)
		}
	}
	// Each stream has a handler on the server; those that wait for work count.
	more := r.Idle.Server.After.Goroutines - r.Idle.Server.Before.Goroutines
	if s.Shape == scenario.IdleStreams && more < s.Outstanding*9/10 {
		t.Errorf("%d more goroutines on the server for %d %s", more, s.Outstanding, s.Name)
	}
	if _, err := pair.Run(time.Millisecond); err == nil || !strings.Contains(err.Error(), "came one for others") {
		t.Errorf("a run of an idle scenario: error %v", err)
	}
	if err := pair.Stop(); err != nil {
		t.Error(err)
	}
}

func small() scenario.Scenario {
	return scenario.Scenario{Name: "small", Shape: scenario.Unary, Payload: 32, Outstanding: 1, Connections: 1}
}

func baseline(t *testing.T) peers.Peer {
	t.Helper()
	p, err := peers.Named(peers.Baseline)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTLS(t *testing.T) {
	s := small()
	s.TLS = true
	measure(t, baseline(t), s)
}

func TestProcessesThatFail(t *testing.T) {
	for _, tt := range []struct {
		name  string
		env   string
		peer  func(p *peers.Peer)
		shape func(s *scenario.Scenario)
		err   string
	}{
		{name: "ends", env: "fail", err: "server of grpc-go: expected an answer; came nothing: no water"},
		{name: "answers something else", env: "babble", err: "server of grpc-go: expected an answer; came invalid character"},
		{name: "no foreign program", peer: func(p *peers.Peer) { p.Foreign = true }, err: "no command"},
		{name: "unknown peer", peer: func(p *peers.Peer) { p.Name = "h3" }, err: `came ["h3"]`},
		{name: "call fails", shape: func(s *scenario.Scenario) { s.Deadline = true; s.Shape = "h3" }, err: `came "h3"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(misbehave, tt.env)
			p, s := baseline(t), small()
			if tt.peer != nil {
				tt.peer(&p)
			}
			if tt.shape != nil {
				tt.shape(&s)
			}
			pair, err := Start(t.Context(), programs(t), p, s)
			if err == nil {
				_, err = pair.Run(time.Millisecond)
				if err := pair.Stop(); err != nil {
					t.Error(err)
				}
			}
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want one with %q", err, tt.err)
			}
		})
	}
}

func TestTheEndOfTheContextEndsARun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	pair, err := Start(ctx, programs(t), baseline(t), small())
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := pair.Run(time.Minute); err == nil {
		t.Error("a run succeeds that was cut off")
	}
	if err := pair.Stop(); err != nil {
		t.Error(err)
	}
}

func TestConnectionsAreCounted(t *testing.T) {
	s := small()
	pair, err := Start(t.Context(), programs(t), baseline(t), s)
	if err != nil {
		t.Fatal(err)
	}
	pair.scenario.Connections = 2
	if _, err := pair.Run(time.Millisecond); err == nil || !strings.Contains(err.Error(), "expected 2 connections; came 1") {
		t.Errorf("error %v", err)
	}
	if err := pair.Stop(); err != nil {
		t.Error(err)
	}
}
