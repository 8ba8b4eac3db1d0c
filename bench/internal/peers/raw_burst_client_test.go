package peers

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/internal/leak"
)

// TestRawBursts: several at once, each complete and in order, beside calls.
func TestRawBursts(t *testing.T) {
	leak.Check(t)
	for _, name := range []string{"raw", "raw+protobuf"} {
		t.Run(name, func(t *testing.T) {
			c := reference(t, name)
			var lanes sync.WaitGroup
			for k := range 6 {
				lanes.Go(func() {
					for i := range 20 {
						messages, size := (i*37+k)%300, []int{0, 32, 5000, 64 << 10}[k%4]
						if err := receive(t.Context(), c, messages, size, uint64(k)<<32); err != nil {
							t.Errorf("burst %d of %d messages of %d octets: %v", i, messages, size, err)
							return
						}
						if m, err := c.Echo(t.Context(), &benchpb.Message{Sequence: 9}); err != nil || m.GetSequence() != 9 {
							t.Errorf("a call: %v, %v", m, err)
						}
					}
				})
			}
			lanes.Wait()
			if c.bursts.used() != 0 || len(c.bursts.of) > 6 {
				t.Errorf("%d of %d ids are in use after all", c.bursts.used(), len(c.bursts.of))
			}
		})
	}
}

func receive(ctx context.Context, c Client, messages, size int, first uint64) error {
	s, err := c.Send(ctx, &benchpb.SendRequest{Messages: int32(messages), Size: int32(size), First: first})
	if err != nil {
		return err
	}
	for i := range messages {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		if err := benchpb.Check(m, first+uint64(i), benchpb.Sent(size)); err != nil {
			return err
		}
	}
	for range 2 {
		if _, err := s.Recv(); !errors.Is(err, io.EOF) {
			return errors.Join(errors.New("expected the end"), err)
		}
	}
	return nil
}

// answering is a client whose server is a function, which gets one request and
// writes what it likes before the connection ends.
func answering(t *testing.T, codec rawCodec, answer func(id uint64, out *pages)) Client {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	t.Cleanup(func() { <-served })
	t.Cleanup(func() { lis.Close() })
	go func() {
		defer close(served)
		nc, err := lis.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		id, _, err := newFrames(nc).next()
		if err != nil {
			return
		}
		var out pages
		answer(id, &out)
		if err := write(nc, out.take()); err != nil {
			t.Error(err)
		}
	}()
	client, err := dialRaw(lis.Addr().String(), Config{}, codec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// TestRawBurstsThatFail: what is not as asked for is an error, and what came
// before it is given.
func TestRawBurstsThatFail(t *testing.T) {
	message := func(out *pages, id, sequence uint64) {
		m := &benchpb.Message{Sequence: sequence}
		out.begin(id, octets{}.size(m))
		out.tail, _ = octets{}.append(out.tail, m)
	}
	over := func(out *pages, id uint64) { out.begin(id|burstOver, 0) }
	for _, tt := range []struct {
		name   string
		answer func(id uint64, out *pages)
		came   int
		err    string
	}{
		{"closed at once", func(uint64, *pages) {}, 0, "unexpected EOF"},
		{"closed in the middle", func(id uint64, out *pages) { message(out, id, 7); message(out, id, 8) }, 2, "unexpected EOF"},
		{"closed in a frame", func(id uint64, out *pages) { message(out, id, 7); out.begin(id, 100) }, 1, "unexpected EOF"},
		{"wrong sequence", func(id uint64, out *pages) { message(out, id, 7); message(out, id, 9) }, 1, "expected message 8 and 2 in all after it; came 9"},
		{"ends early", func(id uint64, out *pages) { message(out, id, 7); over(out, id) }, 1, "expected 2 more messages; came the end"},
		{"does not end", func(id uint64, out *pages) {
			for i := range uint64(4) {
				message(out, id, 7+i)
			}
		}, 3, "and 0 in all after it; came 10"},
		{"no burst has the id", func(id uint64, out *pages) { message(out, id+1, 7) }, 0, "expected the id of a burst; came 1"},
		{"a burst that is over", func(id uint64, out *pages) { over(out, id); over(out, id) }, 0, "expected"},
		{"no call has the id", func(_ uint64, out *pages) { message(out, 0, 7) }, 0, "expected the id of a call; came 0"},
		{"broken body", func(id uint64, out *pages) { out.begin(id, 1); out.tail = append(out.tail, 0xff) }, 0, "expected a sequence"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			leak.Check(t)
			client := answering(t, octets{}, tt.answer)
			s, err := client.Send(t.Context(), &benchpb.SendRequest{Messages: 3, First: 7})
			if err != nil {
				t.Fatal(err)
			}
			came := 0
			for err == nil {
				if _, err = s.Recv(); err == nil {
					came++
				}
			}
			if came != tt.came || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%d messages and %v, want %d and %q", came, err, tt.came, tt.err)
			}
			if _, again := s.Recv(); again != err {
				t.Errorf("Recv after that: %v, want the same", again)
			}
		})
	}
}

// TestRawStreamsOfLostConnections: all that receive end with an error, and so
// do those that come later; no goroutine is left on either side.
func TestRawStreamsOfLostConnections(t *testing.T) {
	for _, side := range []string{"client", "server"} {
		t.Run(side, func(t *testing.T) {
			leak.Check(t)
			p, err := Named("raw+protobuf")
			if err != nil {
				t.Fatal(err)
			}
			server, err := p.Server.NewServer(Config{})
			if err != nil {
				t.Fatal(err)
			}
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- server.Serve(lis) }()
			c, err := p.Client.Dial(lis.Addr().String(), Config{})
			if err != nil {
				t.Fatal(err)
			}
			var lanes sync.WaitGroup
			started := make(chan struct{}, 8)
			for range cap(started) {
				lanes.Go(func() {
					s, err := c.Send(t.Context(), &benchpb.SendRequest{Messages: 1 << 30, Size: 32})
					for n := 0; err == nil; n++ {
						if _, err = s.Recv(); n == 1000 {
							started <- struct{}{}
						}
					}
					if errors.Is(err, context.Canceled) {
						t.Error(err)
					}
				})
			}
			for range cap(started) {
				<-started
			}
			if side == "client" {
				c.Close()
				lanes.Wait()
				server.Stop()
			} else {
				server.Stop()
				lanes.Wait()
			}
			if err := <-served; err != nil {
				t.Error(err)
			}
			if _, err := c.Send(t.Context(), &benchpb.SendRequest{Messages: 1}); err == nil {
				t.Error("a burst after that begins")
			}
			if _, err := c.PingPong(t.Context()); err == nil {
				t.Error("a stream after that begins")
			}
			c.Close()
		})
	}
}

// TestRawBurstsWithContexts: one that is over ends the burst for its receiver.
// What still comes of it is dropped, and the connection goes on.
func TestRawBurstsWithContexts(t *testing.T) {
	c := reference(t, "raw")
	ctx, cancel := context.WithCancel(t.Context())
	s, err := c.Send(ctx, &benchpb.SendRequest{Messages: 200_000, Size: 32})
	for n := 0; err == nil; n++ {
		if _, err = s.Recv(); n == 10 {
			cancel()
		}
	}
	cancel()
	if err != io.EOF && !errors.Is(err, context.Canceled) { // all of it may have come by then
		t.Errorf("error %v, want that of the context", err)
	}
	if _, err := c.Send(ctx, new(benchpb.SendRequest)); !errors.Is(err, context.Canceled) {
		t.Errorf("a burst with a context that is over: %v", err)
	}
	if err := receive(t.Context(), c, 100, 32, 1); err != nil {
		t.Errorf("a burst after that: %v", err)
	}
}
