package load

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// serve starts a server of the peer in this process, and clients of it.
func serve(t *testing.T, p peers.Peer, s scenario.Scenario) ([]peers.Client, Dial) {
	t.Helper()
	cfg := peers.Config{Deadline: s.Deadline, Observed: s.Observed, Slots: s.Slots, Sleep: s.Sleep, Turns: s.Turns}
	server, err := p.Server.NewServer(cfg)
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
	dial := func() (peers.Client, error) { return p.Client.Dial(lis.Addr().String(), cfg) }
	var clients []peers.Client
	for range s.Connections {
		client, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		clients = append(clients, client)
	}
	return clients, dial
}

// TestRun runs every peer in every scenario, in this process.
func TestRun(t *testing.T) {
	all, usual := peers.All()
	for _, s := range scenario.All() {
		if s.Idle() || s.TLS {
			continue
		}
		if s.Shape == scenario.Open {
			s.Rate = 50_000
		}
		if s.Burn > 0 {
			s.Turns = 1000
		}
		// More take long, and show nothing else.
		switch {
		case s.Slots > 0:
			s.Outstanding = 2 * s.Slots
		case s.Shape == scenario.Stream || s.Payload > 64<<10:
			s.Outstanding = min(s.Outstanding, 4)
		default:
			s.Outstanding = min(s.Outstanding, 256)
		}
		for _, p := range all[:usual] {
			if p.Lacks(s) == "" && p.Measures(s) {
				t.Run(s.Name+"/"+p.Name, func(t *testing.T) { run(t, p, s) })
			}
		}
	}
}

func run(t *testing.T, p peers.Peer, s scenario.Scenario) {
	t.Helper()
	clients, dial := serve(t, p, s)
	c := NewCaller(s, clients, dial)
	d := 2 * time.Millisecond
	if s.Bulk > 0 {
		d = 30 * time.Millisecond // a burst of calls may keep a stream waiting
	}
	w, err := c.Run(t.Context(), d)
	for tries := 0; err == nil && s.Bulk > 0 && w.Bulk == 0 && tries < 20; tries++ {
		d = min(2*d, time.Second)
		w, err = c.Run(t.Context(), d) // the machine was busy with something else
	}
	if err != nil {
		t.Fatal(err)
	}
	want := s.Outstanding
	if s.Shape == scenario.Open {
		want = int(s.Rate * d.Seconds())
	}
	if w.Calls < want || w.Elapsed < d*9/10 {
		t.Errorf("%d calls in %v, want %d in %v at least", w.Calls, w.Elapsed, want, d)
	}
	if s.Shape == scenario.Open && w.Calls != want {
		t.Errorf("%d calls, want the %d that were due", w.Calls, want)
	}
	if got := w.Bulk > 0; got != (s.Bulk > 0) {
		t.Errorf("%d octets came beside the calls, on %d streams", w.Bulk, s.Bulk)
	}
	dialed := 0
	if s.Shape == scenario.Churn {
		dialed = w.Calls
	}
	if s.Delay > 0 {
		dialed = 1
	}
	if w.Dialed != dialed || (w.First > 0) != (s.Delay > 0) {
		t.Errorf("%d connections were made, want %d; the first call of one took %v", w.Dialed, dialed, w.First)
	}
	if s.Burst > 0 && w.Calls%s.Burst != 0 {
		t.Errorf("%d messages in bursts of %d", w.Calls, s.Burst)
	}
	if l := w.Latency; l.P99 != 0 && l.P50 > l.P99 || l.P999 != 0 && l.P99 > l.P999 {
		t.Errorf("%d calls have the latency %+v", w.Calls, l)
	}
	if w.Used.Allocs < uint64(w.Calls) || w.Midway.Goroutines < 2 || w.Midway.RSS == 0 {
		t.Errorf("used %+v, held %+v", w.Used, w.Midway)
	}
}

// spoiler is a client whose replies are right up to a point.
type spoiler struct {
	peers.Client

	left  atomic.Int64
	spoil func(m *benchpb.Message) (*benchpb.Message, error)
}

func (s *spoiler) Echo(_ context.Context, m *benchpb.Message) (*benchpb.Message, error) {
	reply := &benchpb.Message{Sequence: m.Sequence, Payload: m.Payload}
	if s.left.Add(-1) < 0 {
		return s.spoil(reply)
	}
	return reply, nil
}

// TestWrongRepliesFail: a benchmark that takes any answer measures nothing.
func TestWrongRepliesFail(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(m *benchpb.Message) (*benchpb.Message, error)
		err   string
	}{
		{"error", func(*benchpb.Message) (*benchpb.Message, error) { return nil, errors.New("no water") }, "no water"},
		{"of another call", func(m *benchpb.Message) (*benchpb.Message, error) { m.Sequence--; return m, nil }, "expected message"},
		{"short", func(m *benchpb.Message) (*benchpb.Message, error) { m.Payload = m.Payload[1:]; return m, nil }, "expected 32 octets; came 31"},
		{"other octets", func(m *benchpb.Message) (*benchpb.Message, error) { m.Payload = make([]byte, 32); return m, nil }, "other octets"},
		{"empty", func(*benchpb.Message) (*benchpb.Message, error) { return nil, nil }, "expected message"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := scenario.Scenario{Shape: scenario.Unary, Payload: 32, Outstanding: 4, Connections: 1}
			client := &spoiler{spoil: tt.spoil}
			client.left.Store(100)
			_, err := NewCaller(s, []peers.Client{client}, nil).Run(t.Context(), time.Minute)
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want one with %q", err, tt.err)
			}
		})
	}
}

// script is a stream whose Recv says what it is told.
type script struct {
	peers.PingPong

	recv func(sent *benchpb.Message) (*benchpb.Message, error)
	sent *benchpb.Message
}

func (s *script) Send(m *benchpb.Message) error   { s.sent = m; return nil }
func (s *script) Recv() (*benchpb.Message, error) { return s.recv(s.sent) }
func (s *script) CloseSend() error                { s.sent = nil; return nil }

type scriptedClient struct {
	peers.Client

	script *script
}

func (c *scriptedClient) PingPong(context.Context) (peers.PingPong, error) { return c.script, nil }
func (c *scriptedClient) Send(_ context.Context, req *benchpb.SendRequest) (peers.Messages, error) {
	c.script.sent = &benchpb.Message{Sequence: req.GetFirst()}
	return c.script, nil
}

func TestWrongStreamsFail(t *testing.T) {
	payload := benchpb.Fill(0, 32)
	right := func(sent *benchpb.Message) (*benchpb.Message, error) {
		if sent == nil {
			return nil, io.EOF
		}
		return &benchpb.Message{Sequence: sent.Sequence, Payload: payload}, nil
	}
	upTo := func(n int, then func(*benchpb.Message) (*benchpb.Message, error)) func(*benchpb.Message) (*benchpb.Message, error) {
		return func(sent *benchpb.Message) (*benchpb.Message, error) {
			if n--; n < 0 {
				return then(sent)
			}
			return right(sent)
		}
	}
	for _, tt := range []struct {
		name string
		work func(ctx context.Context, l *lane, over *atomic.Bool) error
		recv func(*benchpb.Message) (*benchpb.Message, error)
		err  string
	}{
		{"bidi ends early", pingPong, upTo(3, func(*benchpb.Message) (*benchpb.Message, error) { return nil, io.EOF }), "expected message 4; came EOF"},
		{"bidi answers another", pingPong, upTo(3, func(*benchpb.Message) (*benchpb.Message, error) { return right(&benchpb.Message{Sequence: 3}) }), "expected message 4; came 3"},
		{"stream repeats", burstOf(2), right, "expected message 2; came 1"},
		{"stream ends early", burstOf(2), upTo(1, func(*benchpb.Message) (*benchpb.Message, error) { return nil, io.EOF }), "expected message 2; came EOF"},
		{"stream does not end", burstOf(1), right, "expected the end of the stream; came message 1"},
		{"stream fails at its end", burstOf(1), upTo(1, func(*benchpb.Message) (*benchpb.Message, error) { return nil, errors.New("no water") }), "expected the end of the stream; came no water"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &lane{client: &scriptedClient{script: &script{recv: tt.recv}}, payload: payload}
			if err := tt.work(t.Context(), l, new(atomic.Bool)); err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want one with %q", err, tt.err)
			}
		})
	}
}

func burstOf(n int) func(ctx context.Context, l *lane, over *atomic.Bool) error {
	return func(ctx context.Context, l *lane, over *atomic.Bool) error { return stream(ctx, l, over, n) }
}

func TestHangingCallsEnd(t *testing.T) {
	s := scenario.Scenario{Shape: scenario.Unary, Payload: 32, Outstanding: 4, Connections: 1}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the input has ended")
	time.AfterFunc(10*time.Millisecond, func() { cancel(gone) })
	_, err := NewCaller(s, []peers.Client{hanging{}}, nil).Run(ctx, time.Hour)
	if !errors.Is(err, gone) {
		t.Errorf("error %v, want %v", err, gone)
	}
}

type hanging struct{ peers.Client }

func (hanging) Echo(ctx context.Context, _ *benchpb.Message) (*benchpb.Message, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
