package load

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// churn makes a connection for each call, and closes it.
func churn(ctx context.Context, l *lane, over *atomic.Bool, dial Dial) error {
	for started := time.Now(); ; {
		if err := l.alone(ctx, dial); err != nil {
			return err
		}
		started = l.timed.add(started)
		if over.Load() {
			return nil
		}
	}
}

func (l *lane) alone(ctx context.Context, dial Dial) error {
	client, err := dial()
	if err != nil {
		return fmt.Errorf("expected a connection; came %w", err)
	}
	l.client = client
	err = l.echo(ctx)
	if closed := client.Close(); err == nil {
		err = closed
	}
	return err
}
