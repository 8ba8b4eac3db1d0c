// Package link is a way between a client and a server that takes time.
package link

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// Proxy takes connections, makes one to the target for each, and hands on what
// comes on either side after a delay. All octets are handed on in the pieces in
// which they came; the bandwidth has no bound. It does not delay that a
// connection is made: the client's system answers that before Accept.
type Proxy struct {
	target string
	delay  time.Duration
}

// New is for a delay in each direction: half of a round trip.
func New(target string, delay time.Duration) *Proxy {
	return &Proxy{target: target, delay: delay}
}

// Serve ends, with all connections, when the listener is closed or fails.
func (p *Proxy) Serve(lis net.Listener) error {
	ctx, cancel := context.WithCancel(context.Background())
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	for {
		near, err := lis.Accept()
		if err != nil {
			return err
		}
		conns.Go(func() { p.join(ctx, near) })
	}
}

// join ends with either connection.
func (p *Proxy) join(ctx context.Context, near net.Conn) {
	defer near.Close()
	far, err := new(net.Dialer).DialContext(ctx, "tcp", p.target)
	if err != nil {
		return // the client sees its connection end
	}
	defer far.Close()
	defer context.AfterFunc(ctx, func() { near.Close(); far.Close() })()
	var ways sync.WaitGroup
	ways.Go(func() { p.carry(ctx, far, near) })
	ways.Go(func() { p.carry(ctx, near, far) })
	ways.Wait()
}

// parcel is what one read gave, or the end if it is nil.
type parcel struct {
	octets []byte
	due    time.Time
}

const (
	parcelSize = 64 << 10
	underway   = 1 << 12 // parcels; more make the reader wait
)

// carry hands on what comes until there is no more, and then that.
func (p *Proxy) carry(ctx context.Context, to, from net.Conn) {
	parcels := make(chan parcel, underway)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(parcels)
		for buf := make([]byte, parcelSize); ; {
			n, err := from.Read(buf)
			due := time.Now().Add(p.delay)
			if n > 0 {
				parcels <- parcel{octets: append([]byte(nil), buf[:n]...), due: due}
			}
			if err != nil {
				parcels <- parcel{due: due}
				return
			}
		}
	})
	defer reading.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	var failed error
	for one := range parcels {
		if failed != nil {
			continue // the reader has to end
		}
		if wait := time.Until(one.due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done(): // which closes both
				failed = context.Cause(ctx)
				continue
			}
		}
		if one.octets == nil {
			failed = io.EOF
			to.Close()
			continue
		}
		if _, failed = to.Write(one.octets); failed != nil {
			from.Close()
		}
	}
}
