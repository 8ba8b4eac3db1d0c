package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc/status"
)

// flood has many streams, and PING, fill a connection in both directions at
// once. Each handler sends everything before it reads anything. Each message is
// larger than what the way holds, so that both writers wait all the time.
func flood(t *testing.T, a, b net.Conn, streams int) {
	t.Helper()
	const messages, size = 4, 3000
	config := ConnConfig{WriteTimeout: -1} // a deadlock is to stay one
	result := async(func() error {
		sv, err := NewServerTransport(b, ServerConfig{ConnConfig: config, KeepaliveEnforcement: anyPings})
		if err != nil {
			return err
		}
		return sv.HandleStreams(context.Background(), func(st ServerStream) {
			for range messages {
				if err := st.Send(octets(size)); err != nil {
					return
				}
			}
			for n := 0; ; n++ {
				m, err := st.Recv()
				if err == io.EOF && n == messages {
					st.WriteStatus(nil)
					return
				}
				if err != nil {
					st.WriteStatus(status.Convert(err))
					return
				}
				m.Free()
			}
		})
	})
	ct, err := NewHTTP2Client(context.Background(), a, ClientConfig{ConnConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	call := func() error {
		cs, err := ct.NewStream(t.Context(), &Call{Method: "/s/Flood"})
		if err != nil {
			return err
		}
		sent := async(func() error {
			for i := range messages {
				if err := cs.(*http2ClientStream).sendMessage(octets(size), i == messages-1); err != nil {
					return err
				}
			}
			return nil
		})
		for n := 0; ; n++ {
			m, err := cs.Recv()
			if errors.Is(err, io.EOF) && n == messages {
				return <-sent
			}
			if err != nil {
				return fmt.Errorf("after %d messages: %w", n, err)
			}
			m.Free()
		}
	}
	var all sync.WaitGroup
	all.Go(func() {
		if err := ct.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
	for range streams {
		all.Go(func() {
			if err := call(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	ct.Close("over")
	<-result
}

// Rows A94, C2: two sides that flood each other, on a way that holds less than a
// frame, go on: no reader ever waits for a writer, so that neither side's
// writer waits for ever (grpc-go's issue 9330).
func TestFlood_BothSidesOverTinyBuffers_GoOn(t *testing.T) {
	t.Run("simnet", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := simnet.Pipe(simnet.Link{Buffer: 1 << 10})
			flood(t, a, b, 512) // synctest finds a deadlock
		})
	})
	t.Run("unix", func(t *testing.T) {
		a, b := connected(t, "unix", simnet.SocketPath(t))
		for _, nc := range []net.Conn{a, b} {
			u := nc.(*net.UnixConn)
			if err := errors.Join(u.SetReadBuffer(1), u.SetWriteBuffer(1)); err != nil {
				t.Fatal(err)
			}
		}
		flood(t, a, b, 512)
	})
}
