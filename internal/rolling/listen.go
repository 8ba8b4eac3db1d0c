package rolling

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// patience is how long Listen waits for an address that somebody else has.
const patience = 20 * time.Second

// Listen listens for TCP where a server was before. While it was away somebody
// else may have got its port, for a moment.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		lis, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return lis, err
		}
		select {
		case <-wait.Done():
			return nil, err
		case <-tick.C:
		}
	}
}
