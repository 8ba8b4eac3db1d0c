package peers

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/internal/leak"
)

func reference(t *testing.T, name string) *rawClient {
	t.Helper()
	p, err := Named(name)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, p, Config{}, Config{}).(*rawClient)
}

// TestRawPingPongsBesideCalls: each gets its own answers, and gives its id back.
func TestRawPingPongsBesideCalls(t *testing.T) {
	leak.Check(t)
	c := reference(t, "raw+protobuf")
	var lanes sync.WaitGroup
	for k := range 8 {
		payload := benchpb.Fill(uint64(k), 100*k)
		lanes.Go(func() {
			s, err := c.PingPong(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 200 {
				sequence := uint64(k)<<32 | uint64(i)
				if err := s.Send(&benchpb.Message{Sequence: sequence, Payload: payload}); err != nil {
					t.Error(err)
				}
				m, err := s.Recv()
				if err != nil {
					t.Error(err)
					return
				}
				if err := benchpb.Check(m, sequence, payload); err != nil {
					t.Error(err)
				}
				if m, err = c.Echo(t.Context(), &benchpb.Message{Sequence: ^sequence}); err != nil || m.GetSequence() != ^sequence {
					t.Errorf("call %d: %v, %v", ^sequence, m, err)
				}
			}
			if err := s.CloseSend(); err != nil {
				t.Error(err)
			}
			if _, err := s.Recv(); !errors.Is(err, io.EOF) {
				t.Errorf("at the end: %v", err)
			}
		})
	}
	lanes.Wait()
	if c.calls.used() != 0 {
		t.Errorf("%d ids are in use after all", c.calls.used())
	}
}

func TestRawPingPongsInTurn(t *testing.T) {
	c := reference(t, "raw")
	s, err := c.PingPong(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); !errors.Is(err, errNothingSent) {
		t.Errorf("Recv before Send: %v", err)
	}
	if err := s.Send(&benchpb.Message{Sequence: 5}); err != nil {
		t.Fatal(err)
	}
	if err := s.Send(new(benchpb.Message)); !errors.Is(err, errOneAtATime) {
		t.Errorf("Send after Send: %v", err)
	}
	if err := s.CloseSend(); err != nil {
		t.Error(err)
	}
	if m, err := s.Recv(); err != nil || m.GetSequence() != 5 {
		t.Errorf("the last answer is %v, %v", m, err)
	}
	for range 2 {
		if _, err := s.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("after it: %v, want EOF", err)
		}
	}
	if err := s.Send(new(benchpb.Message)); err == nil {
		t.Error("Send after CloseSend succeeds")
	}
}

// TestRawPingPongsWithContexts: one that is over ends the stream, and not the
// connection.
func TestRawPingPongsWithContexts(t *testing.T) {
	c := reference(t, "raw")
	for _, sends := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		s, err := c.PingPong(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if sends {
			if err := s.Send(new(benchpb.Message)); err != nil {
				t.Fatal(err)
			}
			cancel()
			for err == nil { // the answer may have come before
				if _, err = s.Recv(); err == nil {
					err = s.Send(new(benchpb.Message))
				}
			}
		} else {
			cancel()
			err = s.Send(new(benchpb.Message))
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that of the context", err)
		}
		if err := s.Send(new(benchpb.Message)); !errors.Is(err, context.Canceled) {
			t.Errorf("Send after that: %v", err)
		}
	}
	for i := range uint64(3) {
		if m, err := c.Echo(t.Context(), &benchpb.Message{Sequence: i}); err != nil || m.GetSequence() != i {
			t.Fatalf("a call after that: %v, %v", m, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls.used() != 0 {
		t.Errorf("%d ids are in use after all", c.calls.used())
	}
}
