package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
)

// bulk takes what one stream brings, and ends it when the run is over.
func bulk(ctx context.Context, l *lane, over *atomic.Bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.sequence = 0
	stream, err := l.client.Send(ctx, &benchpb.SendRequest{Messages: math.MaxInt32, Size: int32(len(l.payload)), First: 1})
	if err != nil {
		return fmt.Errorf("expected a stream; came %w", err)
	}
	for !over.Load() {
		l.sequence++
		if err := l.next(stream); err != nil {
			return err
		}
	}
	cancel()
	for { // what had come before that
		if _, err := stream.Recv(); err != nil {
			return nil
		}
		if l.sequence++; l.sequence == math.MaxInt32 {
			return errors.New("expected a stream to end when its context does; came all of it")
		}
	}
}
