package peers

import (
	"errors"
	"io"
	"testing"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

func TestPingPong(t *testing.T) {
	each(t, scenario.Scenario{Shape: scenario.PingPong}, func(t *testing.T, p Peer) {
		stream, err := serve(t, p, Config{}, Config{}).PingPong(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i, size := range []int{0, 32, 1 << 20} {
			payload := benchpb.Fill(uint64(i), size)
			if err := stream.Send(&benchpb.Message{Sequence: uint64(i), Payload: payload}); err != nil {
				t.Fatal(err)
			}
			m, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if err := benchpb.Check(m, uint64(i), payload); err != nil {
				t.Error(err)
			}
		}
		if err := stream.CloseSend(); err != nil {
			t.Error(err)
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v, want EOF", err)
		}
	})
}

func TestSend(t *testing.T) {
	each(t, scenario.Scenario{Shape: scenario.Stream}, func(t *testing.T, p Peer) {
		const messages, size, first = 40, 64 << 10, 7
		stream, err := serve(t, p, Config{}, Config{}).Send(t.Context(), &benchpb.SendRequest{Messages: messages, Size: size, First: first})
		if err != nil {
			t.Fatal(err)
		}
		for i := range messages {
			m, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if err := benchpb.Check(m, uint64(first+i), benchpb.Sent(size)); err != nil {
				t.Error(err)
			}
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v, want EOF", err)
		}
	})
}

// TestReferencesMeasure: plain calls and streams, and no more.
func TestReferencesMeasure(t *testing.T) {
	for _, name := range []string{Reference, "raw+protobuf"} {
		p, err := Named(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range scenario.All() {
			if why := p.Lacks(s); (why == "") != s.Plain() {
				t.Errorf("%s: %s lacks %q", s.Name, name, why)
			}
		}
	}
}
