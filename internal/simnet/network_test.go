package simnet

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func listen(t *testing.T, n *Network, name string) net.Listener {
	t.Helper()
	l, err := n.Listen(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDialTakesOneRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{Link: Link{RTT: 80 * ms}}
		l := listen(t, n, "server:443")
		defer l.Close()
		start := time.Now()
		go func() {
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			wantTook(t, "accept", start, 40*ms)
			defer c.Close()
			c.Write([]byte("hello from " + c.LocalAddr().String() + " to " + c.RemoteAddr().String()))
		}()
		c, err := n.Dial(t.Context(), "server:443")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		wantTook(t, "dial", start, 80*ms)
		got, err := io.ReadAll(c)
		if want := "hello from server:443 to client:1"; err != nil || string(got) != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	})
}

func TestDialFails(t *testing.T) {
	tests := []struct {
		name  string
		set   func(n *Network, cancel context.CancelFunc)
		after time.Duration
		err   error
	}{
		{"nobody listens", func(*Network, context.CancelFunc) {}, 80 * ms, syscall.ECONNREFUSED},
		{"nobody listens any more", func(n *Network, _ context.CancelFunc) {
			l, _ := n.Listen("server")
			l.Close()
		}, 80 * ms, syscall.ECONNREFUSED},
		{"the network is stalled", func(n *Network, _ context.CancelFunc) {
			n.Listen("server")
			n.Stall()
		}, time.Second, context.DeadlineExceeded},
		{"canceled on the way", func(n *Network, cancel context.CancelFunc) {
			n.Listen("server")
			time.AfterFunc(30*ms, cancel)
		}, 30 * ms, context.Canceled},
		{"canceled on the way back", func(n *Network, cancel context.CancelFunc) {
			n.Listen("server")
			time.AfterFunc(50*ms, cancel)
		}, 50 * ms, context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &Network{Link: Link{RTT: 80 * ms}}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				tt.set(n, cancel)
				c, err := n.Dial(ctx, "server")
				wantErr(t, "dial", err, tt.err)
				wantTook(t, "dial failed", start, tt.after)
				if c != nil {
					t.Error("there is a connection")
				}
				if len(n.open()) != 0 && tt.after < 40*ms {
					t.Error("the network still knows the wire")
				}
			})
		})
	}
}

func TestGivenUpDialIsResetAtListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{Link: Link{RTT: 80 * ms}}
		l := listen(t, n, "server")
		defer l.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 50*ms)
		defer cancel()
		n.Dial(ctx, "server")
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
		wantErr(t, "read", err, syscall.ECONNRESET)
	})
}

func TestListenerClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(Network)
		l := listen(t, n, "server")
		_, err := n.Listen("server")
		wantErr(t, "second listener", err, syscall.EADDRINUSE)

		c, err := n.Dial(t.Context(), "server")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		_, err = c.Read(make([]byte, 1))
		wantErr(t, "read of one not accepted", err, syscall.ECONNRESET)
		c.Close()
		_, err = l.Accept()
		wantErr(t, "accept", err, net.ErrClosed)
		wantErr(t, "second close", l.Close(), net.ErrClosed)

		l = listen(t, n, "server")
		go func() {
			synctest.Wait()
			l.Close()
		}()
		_, err = l.Accept()
		wantErr(t, "blocked accept", err, net.ErrClosed)
	})
}

func TestNetworkStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{Link: Link{RTT: 80 * ms}}
		l := listen(t, n, "server")
		defer l.Close()
		start := time.Now()
		near, err := n.Dial(t.Context(), "server")
		if err != nil {
			t.Fatal(err)
		}
		far, _ := l.Accept()
		near.Write([]byte("x"))
		n.Stall()
		dialed := make(chan time.Duration)
		go func() {
			c, err := n.Dial(t.Context(), "server")
			if err == nil {
				c.Close()
			}
			dialed <- time.Since(start)
		}()
		Advance(time.Second)
		n.Resume()
		far.Read(make([]byte, 1))
		wantTook(t, "octet", start, time.Second+120*ms)
		if took := <-dialed; took != time.Second+160*ms {
			t.Errorf("dial during the stall took %v, want 1.16s", took)
		}
		near.Close()
		far.Close()
	})
}

func TestAdvance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fired atomic.Int32
		for i := range 3 {
			time.AfterFunc(time.Duration(i+1)*time.Second, func() { fired.Add(1) })
		}
		start := time.Now()
		Advance(2 * time.Second)
		if fired.Load() != 2 || time.Since(start) != 2*time.Second {
			t.Errorf("%d timers fired in %v, want 2 in 2s", fired.Load(), time.Since(start))
		}
		Advance(time.Second)
		if fired.Load() != 3 {
			t.Errorf("%d timers fired, want 3", fired.Load())
		}
	})
}

func TestAdvanceOutsideBubble(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Advance took real time")
		}
	}()
	Advance(1)
}
