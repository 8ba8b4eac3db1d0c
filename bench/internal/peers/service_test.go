package peers

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// serve starts a server in this process, and a client of it.
func serve(t *testing.T, p Peer, clientCfg, serverCfg Config) Client {
	t.Helper()
	server, err := p.Server.NewServer(serverCfg)
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(lis) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	client, err := p.Client.Dial(lis.Addr().String(), clientCfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func each(t *testing.T, s scenario.Scenario, f func(t *testing.T, p Peer)) {
	t.Helper()
	all, _ := All()
	measured := 0
	for _, p := range all {
		if p.Foreign || p.Lacks(s) != "" {
			continue
		}
		measured++
		t.Run(p.Name, func(t *testing.T) { f(t, p) })
	}
	if measured == 0 {
		t.Error("no peer can do this")
	}
}

func TestEcho(t *testing.T) {
	each(t, scenario.Scenario{Shape: scenario.Unary}, func(t *testing.T, p Peer) {
		client := serve(t, p, Config{}, Config{})
		for _, size := range []int{0, 1, 32, 16 << 10, 1 << 20, 1<<20 + 1} {
			payload := benchpb.Fill(uint64(size), size)
			reply, err := client.Echo(t.Context(), &benchpb.Message{Sequence: uint64(size) + 1, Payload: payload})
			if err != nil {
				t.Fatalf("%d octets: %v", size, err)
			}
			if err := benchpb.Check(reply, uint64(size)+1, payload); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestCancelledCallsEnd(t *testing.T) {
	each(t, scenario.Scenario{Shape: scenario.Unary}, func(t *testing.T, p Peer) {
		client := serve(t, p, Config{}, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := client.Echo(ctx, new(benchpb.Message)); err == nil {
			t.Error("a call with a context that is over succeeds")
		}
	})
}

// TestServersInsist: a call that lacks what its scenario measures fails.
func TestServersInsist(t *testing.T) {
	t.Run("on a deadline", func(t *testing.T) {
		each(t, scenario.Scenario{Shape: scenario.Unary, Deadline: true}, func(t *testing.T, p Peer) {
			client := serve(t, p, Config{Deadline: true}, Config{Deadline: true})
			if _, err := client.Echo(t.Context(), new(benchpb.Message)); err == nil || !strings.Contains(err.Error(), "expected a deadline") {
				t.Errorf("without one: error %v", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := client.Echo(ctx, new(benchpb.Message)); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("on metadata", func(t *testing.T) {
		each(t, scenario.Scenario{Shape: scenario.Unary, Observed: true}, func(t *testing.T, p Peer) {
			client := serve(t, p, Config{Observed: true}, Config{Observed: true})
			if _, err := client.Echo(t.Context(), new(benchpb.Message)); err != nil {
				t.Error(err)
			}
			bare := serve(t, p, Config{}, Config{Observed: true})
			if _, err := bare.Echo(t.Context(), new(benchpb.Message)); err == nil || !strings.Contains(err.Error(), "metadata key") {
				t.Errorf("without: error %v", err)
			}
		})
	})
	t.Run("on an interceptor", func(t *testing.T) {
		s := &service{cfg: Config{Observed: true}}
		if err := s.check(incoming(withMetadata(t.Context()))); err == nil {
			t.Error("a call came past the interceptor of the client")
		}
		ctx := incoming(metadataOfAll(t.Context()))
		if err := s.check(ctx); err == nil || !strings.Contains(err.Error(), "an interceptor") {
			t.Errorf("a call came past the interceptor of the server: %v", err)
		}
		ctx = context.WithValue(ctx, interceptedKey{}, true)
		if err := s.check(ctx); err == nil {
			t.Error("a call came past the stats handler")
		}
		if err := s.check(new(observer).TagRPC(ctx, nil)); err != nil {
			t.Error(err)
		}
	})
}
