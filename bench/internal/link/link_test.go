package link

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return lis
}

// echo answers all connections with what they send.
func echo(t *testing.T) net.Listener {
	lis := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := lis.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(nc, nc)
				nc.Close()
			}()
		}
	}()
	t.Cleanup(func() { lis.Close(); <-done })
	return lis
}

func through(t *testing.T, target net.Addr, delay time.Duration) (conn net.Conn, end func()) {
	t.Helper()
	lis := listen(t)
	served := make(chan error, 1)
	go func() { served <- New(target.String(), delay).Serve(lis) }()
	end = func() {
		lis.Close()
		<-served
	}
	t.Cleanup(func() {
		lis.Close()
	})
	nc, err := net.Dial("tcp", lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc, end
}

func TestDelay(t *testing.T) {
	const delay = 10 * time.Millisecond
	nc, end := through(t, echo(t).Addr(), delay)
	defer end()
	started := time.Now()
	for range 2 {
		sent := benchpb.Fill(1, 100)
		nc.Write(sent)
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("other octets came back, or %v", err)
		}
	}
	if took := time.Since(started); took < 4*delay {
		t.Errorf("two round trips took %v, want %v", took, 4*delay)
	}
}

// TestDelayIsNotThroughput: what is on its way does not hold up what follows.
func TestDelayIsNotThroughput(t *testing.T) {
	// One after the other they would take 100 s each way. A machine that is busy gets
	// half of that.
	const delay, pieces = 200 * time.Millisecond, 500
	nc, end := through(t, echo(t).Addr(), delay)
	defer end()
	started := time.Now()
	sent := benchpb.Fill(2, pieces*parcelSize)
	go nc.Write(sent)
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("other octets came back, or %v", err)
	}
	if took := time.Since(started); took < 2*delay || took > pieces*delay/2 {
		t.Errorf("%d pieces took %v with a delay of %v", pieces, took, delay)
	}
}

func TestTheEndIsHandedOn(t *testing.T) {
	t.Run("of the server", func(t *testing.T) {
		lis := listen(t)
		defer lis.Close()
		go func() {
			if nc, err := lis.Accept(); err == nil {
				nc.Write([]byte("bye"))
				nc.Close()
			}
		}()
		nc, end := through(t, lis.Addr(), time.Millisecond)
		defer end()
		if all, err := io.ReadAll(nc); string(all) != "bye" {
			t.Errorf("came %q, %v", all, err)
		}
	})
	t.Run("no server", func(t *testing.T) {
		nobody := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} // not one that another test may get
		nc, end := through(t, nobody, time.Millisecond)
		defer end()
		if n, err := nc.Read(make([]byte, 1)); err == nil {
			t.Errorf("%d octets came from nobody", n)
		}
	})
	t.Run("of the link", func(t *testing.T) {
		nc, end := through(t, echo(t).Addr(), time.Hour)
		nc.Write([]byte("x"))
		lisClosed := make(chan struct{})
		go func() { end(); close(lisClosed) }()
		select {
		case <-lisClosed:
		case <-time.After(20 * time.Second):
			t.Error("a link does not end while something is on its way")
		}
	})
}
