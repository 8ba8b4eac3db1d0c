// Package channel turns a target into connections: it dials, secures, backs
// off, and gives each call the connection to run on.
package channel

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/internal/wait"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// Config says how a Channel connects.
type Config struct {
	Target Target
	// Credentials secure each connection.
	Credentials credentials.TransportCredentials
	// Dial makes a connection to Target.Address. Nil means net.Dialer.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Transport configures each connection; its AuthInfo is set here.
	Transport transport.ClientConfig
}

// A Channel keeps a connection to its target as long as it is used: the first
// call connects, and so does the first call after a connection has ended. It
// has no goroutine while nothing connects.
type Channel struct {
	cfg Config

	current atomic.Pointer[ready]

	mu sync.Mutex
	// Guarded by mu.
	attempt   *attempt
	failures  int
	notBefore time.Time // of the next attempt
	lastErr   error
	all       []transport.ClientTransport // that may not have ended
	closed    bool
}

// ready is a connection that calls can use.
type ready struct{ transport.ClientTransport }

// attempt is one attempt to connect, which any number of calls wait for.
type attempt struct {
	done   chan struct{}
	cancel context.CancelFunc
	tr     transport.ClientTransport
	err    error
}

// New makes a Channel. It does no I/O.
func New(cfg Config) *Channel {
	if cfg.Dial == nil {
		network := cfg.Target.Network
		cfg.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		}
	}
	return &Channel{cfg: cfg}
}

var errClosed = status.Error(codes.Canceled, "the client is closed")

// Transport gives the connection for a call. It connects if there is none, and
// waits as long as ctx allows. After a failed attempt, a call that does not
// wait for ready gets the attempt's error at once until the backoff is over.
func (c *Channel) Transport(ctx context.Context, waitForReady bool) (transport.ClientTransport, error) {
	for {
		if r := c.current.Load(); r != nil && !isClosed(r.Draining()) {
			return r.ClientTransport, nil
		}
		a, pause, err := c.begin()
		switch {
		case err == nil:
			if err := wait.For(ctx, wait.Connect, wait.Holder{}, a.done); err != nil {
				return nil, c.waited(ctx)
			}
			if a.err == nil {
				continue
			}
			if !waitForReady {
				return nil, unavailable(a.err)
			}
		case err == errClosed:
			return nil, err
		case !waitForReady:
			return nil, unavailable(err)
		default:
			over := make(chan struct{})
			t := time.AfterFunc(pause, func() { close(over) })
			err := wait.For(ctx, wait.Connect, wait.Holder{}, over)
			t.Stop()
			if err != nil {
				return nil, c.waited(ctx)
			}
		}
	}
}

func unavailable(err error) error {
	return status.Error(codes.Unavailable, err.Error())
}

// waited is how a call ends whose context ended before there was a connection.
func (c *Channel) waited(ctx context.Context) error {
	c.mu.Lock()
	last := c.lastErr
	c.mu.Unlock()
	text := fmt.Sprintf("%v while it waited for a connection to %s", ctx.Err(), c.cfg.Target.Address)
	if last != nil {
		text += ": the last attempt failed: " + last.Error()
	}
	return status.Error(status.FromContextError(ctx.Err()).Code(), text)
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// begin gives the attempt that is under way, or begins one. In the time of
// backoff it gives the error of the last one and how long that time lasts.
func (c *Channel) begin() (*attempt, time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, 0, errClosed
	}
	if c.attempt != nil {
		return c.attempt, 0, nil
	}
	now := time.Now()
	if pause := c.notBefore.Sub(now); pause > 0 {
		return nil, pause, c.lastErr
	}
	timeout := minConnectTimeout
	backoff := delay(c.failures+1, jitter())
	ctx, cancel := context.WithTimeout(context.Background(), max(timeout, backoff))
	c.attempt = &attempt{done: make(chan struct{}), cancel: cancel}
	go c.connect(ctx, c.attempt, now.Add(backoff))
	return c.attempt, 0, nil
}

// connect makes one attempt.
func (c *Channel) connect(ctx context.Context, a *attempt, next time.Time) {
	defer a.cancel()
	a.tr, a.err = c.dial(ctx)
	c.mu.Lock()
	c.attempt = nil
	switch {
	case c.closed:
		c.mu.Unlock()
		if a.err == nil {
			a.tr.Close("the client is closed")
			a.err = errClosed
		}
		close(a.done)
		return
	case a.err != nil:
		c.failures++
		c.notBefore, c.lastErr = next, a.err
	default:
		c.failures, c.notBefore, c.lastErr = 0, time.Time{}, nil
		c.keepLocked(a.tr)
		c.current.Store(&ready{a.tr})
	}
	c.mu.Unlock()
	close(a.done)
}

// keepLocked remembers a connection until it has ended.
func (c *Channel) keepLocked(tr transport.ClientTransport) {
	c.all = slices.DeleteFunc(c.all, func(t transport.ClientTransport) bool { return isClosed(t.Done()) })
	c.all = append(c.all, tr)
}

// dial makes a connection, secures it and waits for the server's SETTINGS.
func (c *Channel) dial(ctx context.Context) (transport.ClientTransport, error) {
	where := c.cfg.Target.Address
	nc, err := c.cfg.Dial(ctx, where)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", where, err)
	}
	secured, info, err := c.cfg.Credentials.ClientHandshake(ctx, c.cfg.Transport.Authority, nc)
	if err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("the security handshake with %s failed: %w", where, err)
	}
	cfg := c.cfg.Transport
	cfg.AuthInfo = info
	tr, err := transport.NewHTTP2Client(ctx, secured, cfg)
	if err != nil {
		return nil, fmt.Errorf("no HTTP/2 connection with %s: %w", where, err)
	}
	return tr, nil
}

// Close ends every connection and every call on them.
func (c *Channel) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return errClosed
	}
	c.closed = true
	all, a := c.all, c.attempt
	c.all = nil
	c.current.Store(nil)
	c.mu.Unlock()
	if a != nil {
		a.cancel()
		<-a.done
	}
	for _, t := range all {
		t.Close("the client is closed")
	}
	return nil
}
