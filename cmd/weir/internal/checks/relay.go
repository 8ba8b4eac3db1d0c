package checks

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// relay passes connections on to a server and counts octets. Close ends it and
// its connections, and waits for its goroutines.
type relay struct {
	lis    net.Listener
	target string

	toServer, toClient atomic.Int64

	wg sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  []net.Conn // guarded by mu
}

func newRelay(ctx context.Context, target string) (*relay, error) {
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{lis: lis, target: target}
	r.wg.Go(func() { r.accept(ctx) })
	return r, nil
}

// Address is where the relay listens.
func (r *relay) Address() string { return r.lis.Addr().String() }

// Close implements io.Closer.
func (r *relay) Close() error {
	err := r.lis.Close()
	r.mu.Lock()
	r.closed = true
	for _, c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
	return err
}

func (r *relay) accept(ctx context.Context) {
	for {
		client, err := r.lis.Accept()
		if err != nil {
			return
		}
		server, err := new(net.Dialer).DialContext(ctx, "tcp", r.target)
		if err != nil {
			client.Close()
			continue
		}
		if !r.keep(client, server) {
			return
		}
		r.wg.Go(func() { pass(server, client, &r.toServer) })
		r.wg.Go(func() { pass(client, server, &r.toClient) })
	}
}

// keep reports false, and closes the connections, if the relay is closed.
func (r *relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		for _, c := range conns {
			c.Close()
		}
		return false
	}
	r.conns = append(r.conns, conns...)
	return true
}

// pass counts octets before they leave, so that whoever got the last of them
// finds all counted.
func pass(dst, src net.Conn, count *atomic.Int64) {
	defer dst.Close()
	_, _ = io.Copy(counter{dst, count}, src)
}

type counter struct {
	w     io.Writer
	count *atomic.Int64
}

func (c counter) Write(p []byte) (int, error) {
	c.count.Add(int64(len(p)))
	return c.w.Write(p)
}
