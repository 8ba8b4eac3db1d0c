package cases

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"

	"github.com/weir-rpc/weir"
)

// Soak is how rpc_soak and channel_soak go.
type Soak struct {
	Iterations      int
	Threads         int // that share the iterations
	MaxFailures     int
	MaxLatency      time.Duration // of an iteration; more is a failure
	OverallTimeout  time.Duration
	MinBetweenCalls time.Duration // from the start of one to the next of a thread
	RequestSize     int           // in octets
	ResponseSize    int
}

// rpcSoak makes all calls on the one client.
func rpcSoak(ctx context.Context, t *Target) error {
	return t.soak(ctx, func() (*weir.Client, func(), error) { return t.Client, func() {}, nil })
}

// channelSoak makes each call on a client of its own.
func channelSoak(ctx context.Context, t *Target) error {
	return t.soak(ctx, func() (*weir.Client, func(), error) {
		c, err := t.Dial()
		if err != nil {
			return nil, nil, err
		}
		return c, func() { _ = c.Close() }, nil
	})
}

func (t *Target) soak(ctx context.Context, client func() (*weir.Client, func(), error)) error {
	s := t.Soak
	ctx, cancel := context.WithTimeout(ctx, s.OverallTimeout)
	defer cancel()

	var mu sync.Mutex
	var begun, failures int // guarded by mu, as is the log
	next := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		if begun == s.Iterations || ctx.Err() != nil {
			return 0, false
		}
		begun++
		return begun - 1, true
	}
	ended := func(thread, i int, d time.Duration, p *peer.Peer, err error) {
		mu.Lock()
		defer mu.Unlock()
		result := "succeeded"
		if err != nil {
			failures++
			result = "failed: " + err.Error()
		}
		fmt.Fprintf(t.Log, "thread: %d soak iteration: %d elapsed_ms: %d peer: %v server_uri: %s %s\n",
			thread, i, d.Milliseconds(), p.Addr, t.Client.Target(), result)
	}

	var threads sync.WaitGroup
	for thread := range s.Threads {
		threads.Go(func() {
			for {
				i, ok := next()
				if !ok {
					return
				}
				pause := time.NewTimer(s.MinBetweenCalls)
				start := time.Now()
				var p peer.Peer
				err := s.iteration(ctx, client, &p)
				d := time.Since(start)
				if err == nil && d > s.MaxLatency {
					err = fmt.Errorf("it exceeds the max acceptable latency of %v", s.MaxLatency)
				}
				ended(thread, i, d, &p, err)
				select {
				case <-pause.C:
				case <-ctx.Done():
					pause.Stop()
				}
			}
		})
	}
	threads.Wait()

	fmt.Fprintf(t.Log, "(server_uri: %s) soak test: %d of %d iterations, %d failures\n", t.Client.Target(), begun, s.Iterations, failures)
	switch {
	case begun < s.Iterations:
		return fmt.Errorf("%d of %d iterations within %v", begun, s.Iterations, s.OverallTimeout)
	case failures > s.MaxFailures:
		return fmt.Errorf("%d failures in %d iterations, %d are allowed", failures, s.Iterations, s.MaxFailures)
	}
	return nil
}

// iteration makes one call.
func (s *Soak) iteration(ctx context.Context, client func() (*weir.Client, func(), error), p *peer.Peer) error {
	c, done, err := client()
	if err != nil {
		return err
	}
	defer done()
	_, err = large(ctx, testgrpc.NewTestServiceClient(c), &testgrpc.SimpleRequest{
		ResponseSize: int32(s.ResponseSize),
		Payload:      zeros(s.RequestSize),
	}, grpc.Peer(p))
	return err
}
