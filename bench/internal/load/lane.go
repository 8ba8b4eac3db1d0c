package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/peers"
)

// lane makes one call after the other, or has one stream. It makes one at
// least.
type lane struct {
	client   peers.Client
	sequence uint64
	req      *benchpb.Message
	payload  []byte
	timed    samples
	calls    int
}

func unary(ctx context.Context, l *lane, over *atomic.Bool) error {
	for started := time.Now(); ; {
		if err := l.echo(ctx); err != nil {
			return err
		}
		started = l.timed.add(started)
		if over.Load() {
			return nil
		}
	}
}

func unaryWithDeadline(ctx context.Context, l *lane, over *atomic.Bool) error {
	for started := time.Now(); ; {
		ctx, done := context.WithTimeout(ctx, callDeadline)
		err := l.echo(ctx)
		done()
		if err != nil {
			return err
		}
		started = l.timed.add(started)
		if over.Load() {
			return nil
		}
	}
}

// echo makes one call. The request is used again: its call is over.
func (l *lane) echo(ctx context.Context) error {
	l.sequence++
	l.req.Sequence = l.sequence
	reply, err := l.client.Echo(ctx, l.req)
	if err != nil {
		return fmt.Errorf("expected a reply; came %w", err)
	}
	l.calls++
	return benchpb.Check(reply, l.sequence, l.payload)
}

// pingPong sends the next message when the one before has come back, on one
// stream. A message of its own is made for each Send, because a stream may keep
// it.
func pingPong(ctx context.Context, l *lane, over *atomic.Bool) error {
	stream, err := l.client.PingPong(ctx)
	if err != nil {
		return fmt.Errorf("expected a stream; came %w", err)
	}
	for started := time.Now(); ; {
		if err := l.exchange(stream); err != nil {
			return err
		}
		started = l.timed.add(started)
		if over.Load() {
			break
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return l.end(stream)
}

func (l *lane) exchange(stream peers.PingPong) error {
	l.sequence++
	if err := stream.Send(&benchpb.Message{Sequence: l.sequence, Payload: l.payload}); err != nil {
		// The reason is what Recv says.
		if _, err := stream.Recv(); err != nil {
			return fmt.Errorf("expected to send a message; came %w", err)
		}
		return fmt.Errorf("expected to send a message; came %w", err)
	}
	return l.next(stream)
}

// next takes the message with the lane's sequence.
func (l *lane) next(stream peers.Messages) error {
	m, err := stream.Recv()
	if err != nil {
		return fmt.Errorf("expected message %d; came %w", l.sequence, err)
	}
	l.calls++
	return benchpb.Check(m, l.sequence, l.payload)
}

// end takes the end of the stream.
func (l *lane) end(stream peers.Messages) error {
	switch m, err := stream.Recv(); {
	case err == nil:
		return fmt.Errorf("expected the end of the stream; came message %d", m.GetSequence())
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("expected the end of the stream; came %w", err)
	}
	return nil
}

// stream asks for one burst of messages after the other. What is timed is a
// burst with its call.
func stream(ctx context.Context, l *lane, over *atomic.Bool, burst int) error {
	for started := time.Now(); ; {
		first := l.sequence + 1
		stream, err := l.client.Send(ctx, &benchpb.SendRequest{Messages: int32(burst), Size: int32(len(l.payload)), First: first})
		if err != nil {
			return fmt.Errorf("expected a stream; came %w", err)
		}
		for range burst {
			l.sequence++
			if err := l.next(stream); err != nil {
				return err
			}
		}
		if err := l.end(stream); err != nil {
			return err
		}
		started = l.timed.add(started)
		if over.Load() {
			return nil
		}
	}
}
