package simnet

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"
)

// TestConnConforms runs the tests that x/net has for any net.Conn, in real
// time and outside a bubble.
func TestConnConforms(t *testing.T) {
	for _, tt := range []struct {
		name string
		link Link
	}{
		{"at once", Link{}},
		{"slowly", Link{RTT: time.Millisecond, Rate: 100 * Mbps, Buffer: 1 << 16}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
				a, b = Pipe(tt.link)
				return a, b, func() { a.Close(); b.Close() }, nil
			})
		})
	}
}

// wantErr fails t unless err is want and, io.EOF aside, a *net.OpError.
func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	var op *net.OpError
	if !errors.Is(err, want) || want != io.EOF && !errors.As(err, &op) {
		t.Errorf("%s: %v (%T), want %v", what, err, err, want)
	}
}

func TestCloseDeliversWhatWasWritten(t *testing.T) {
	bubble(t, Link{RTT: 100 * ms, Rate: 8 * Mbps}, func(t *testing.T, a, b *Conn) {
		start := time.Now()
		a.Write(make([]byte, 10_000))
		a.Close()
		b.Write([]byte("not known yet"))
		n, err := io.Copy(io.Discard, b)
		if n != 10_000 || err != nil {
			t.Errorf("%d octets, %v, want 10000 and the end", n, err)
		}
		wantTook(t, "the end", start, 60*ms)
		_, err = b.Read(make([]byte, 1))
		wantErr(t, "read after the end", err, io.EOF)
		_, err = b.Write([]byte("x"))
		wantErr(t, "write to one who closed", err, syscall.EPIPE)
	})
}

func TestClosedConn(t *testing.T) {
	bubble(t, Link{}, func(t *testing.T, a, b *Conn) {
		a.Close()
		_, err := a.Read(make([]byte, 1))
		wantErr(t, "read", err, net.ErrClosed)
		_, err = a.Write(make([]byte, 1))
		wantErr(t, "write", err, net.ErrClosed)
		wantErr(t, "second close", a.Close(), net.ErrClosed)
		wantErr(t, "deadline", a.SetDeadline(time.Now()), net.ErrClosed)
	})
}

// TestEndWakes has a Read and a Write of b blocked when something happens.
func TestEndWakes(t *testing.T) {
	tests := []struct {
		name        string
		end         func(a, b *Conn)
		after       time.Duration
		read, write error
	}{
		{"own close", func(_, b *Conn) { b.Close() }, 0, net.ErrClosed, net.ErrClosed},
		{"peer's close", func(a, _ *Conn) { a.Close() }, 20 * ms, io.EOF, syscall.EPIPE},
		{"peer's reset", func(a, _ *Conn) { a.Reset() }, 20 * ms, syscall.ECONNRESET, syscall.ECONNRESET},
		{"own reset", func(_, b *Conn) { b.Reset() }, 0, net.ErrClosed, net.ErrClosed},
		{"deadline in time", func(_, b *Conn) { b.SetDeadline(time.Now().Add(30 * ms)) }, 30 * ms, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded},
		{"deadline in the past", func(_, b *Conn) { b.SetDeadline(time.Unix(1, 0)) }, 0, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded},
		{"deadline of a stalled link", func(_, b *Conn) { b.Stall(); b.SetDeadline(time.Now().Add(30 * ms)) }, 30 * ms, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, Link{RTT: 40 * ms, Buffer: 100}, func(t *testing.T, a, b *Conn) {
				var both sync.WaitGroup
				var start time.Time
				both.Go(func() {
					_, err := b.Read(make([]byte, 1))
					wantErr(t, "read", err, tt.read)
					wantTook(t, "end of the read", start, tt.after)
				})
				both.Go(func() {
					n, err := b.Write(make([]byte, 150))
					wantErr(t, "write", err, tt.write)
					wantTook(t, "end of the write", start, tt.after)
					if n != 100 {
						t.Errorf("%d octets of the write went out, want 100", n)
					}
				})
				synctest.Wait()
				start = time.Now()
				tt.end(a, b)
				both.Wait()
			})
		})
	}
}

func TestDeadlineCanBeMoved(t *testing.T) {
	bubble(t, Link{}, func(t *testing.T, a, b *Conn) {
		start := time.Now()
		b.SetReadDeadline(start.Add(10 * ms))
		b.Read(make([]byte, 1))
		wantTook(t, "first deadline", start, 10*ms)
		_, err := b.Read(make([]byte, 1))
		wantErr(t, "read after the deadline", err, os.ErrDeadlineExceeded)
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%v is no timeout", err)
		}
		if _, err := b.Write([]byte("x")); err != nil {
			t.Errorf("a read deadline ended a write: %v", err)
		}
		b.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Hour, func() { a.Write([]byte("late")) })
		if _, err := b.Read(make([]byte, 4)); err != nil {
			t.Errorf("read without a deadline: %v", err)
		}
		wantTook(t, "arrival", start, time.Hour+10*ms)
	})
}

func TestResetLosesWhatIsOnTheWay(t *testing.T) {
	bubble(t, Link{RTT: 40 * ms}, func(t *testing.T, a, b *Conn) {
		a.Write([]byte("early"))
		Advance(30 * ms)
		a.Write([]byte("late"))
		a.Reset()
		got, err := io.ReadAll(b)
		if string(got) != "early" {
			t.Errorf("%q arrived, want %q", got, "early")
		}
		wantErr(t, "read", err, syscall.ECONNRESET)
	})
}

func TestStall(t *testing.T) {
	bubble(t, Link{RTT: 100 * ms}, func(t *testing.T, a, b *Conn) {
		start := time.Now()
		a.Write([]byte("1"))
		Advance(20 * ms)
		b.Stall()
		b.Stall() // is the same stall
		b.Write([]byte("2"))
		Advance(time.Hour)
		if a.Received()+b.Received() != 0 {
			t.Error("something arrived on a stalled link")
		}
		a.Resume()
		b.Resume()
		b.Read(make([]byte, 1))
		wantTook(t, "what was on the way", start, time.Hour+50*ms)
		a.Read(make([]byte, 1))
		wantTook(t, "what was written during the stall", start, time.Hour+70*ms)
	})
}

func TestStallHidesClose(t *testing.T) {
	bubble(t, Link{RTT: 10 * ms}, func(t *testing.T, a, b *Conn) {
		a.Stall()
		a.Close()
		Advance(time.Minute)
		if _, err := b.Write([]byte("x")); err != nil {
			t.Errorf("write before the news of the close: %v", err)
		}
		start := time.Now()
		b.Resume()
		_, err := b.Read(make([]byte, 1))
		wantErr(t, "read", err, io.EOF)
		wantTook(t, "the end", start, 5*ms)
	})
}

func TestCutRead(t *testing.T) {
	bubble(t, Link{}, func(t *testing.T, a, b *Conn) {
		b.CutRead(3)
		a.Write([]byte("abcdefgh"))
		a.Close()
		for _, want := range []string{"abc", "def", "gh"} {
			buf := make([]byte, 100)
			n, err := b.Read(buf)
			if err != nil || string(buf[:n]) != want {
				t.Fatalf("%q, %v, want %q", buf[:n], err, want)
			}
		}
	})
}

func TestReadTakesAllThatArrived(t *testing.T) {
	bubble(t, Link{}, func(t *testing.T, a, b *Conn) {
		a.Write([]byte("abc"))
		a.Write([]byte("def"))
		buf := make([]byte, 5)
		if n, err := b.Read(buf); err != nil || string(buf[:n]) != "abcde" {
			t.Errorf("%q, %v", buf[:n], err)
		}
		if a.Writes() != 2 || a.Written() != 6 || b.Received() != 5 || a.Received() != 0 {
			t.Errorf("counted %d writes, %d octets, %d and %d received", a.Writes(), a.Written(), b.Received(), a.Received())
		}
	})
}

// TestWritesDoNotMix has two writers that each need many turns of the buffer.
func TestWritesDoNotMix(t *testing.T) {
	bubble(t, Link{Buffer: 7}, func(t *testing.T, a, b *Conn) {
		var writers sync.WaitGroup
		for _, s := range []string{strings.Repeat("x", 1000), strings.Repeat("y", 1000)} {
			writers.Go(func() { a.Write([]byte(s)) })
		}
		go func() { writers.Wait(); a.Close() }()
		got, err := io.ReadAll(b)
		if err != nil || len(got) != 2000 {
			t.Fatal(len(got), err)
		}
		if changes := strings.Count(string(got), "xy") + strings.Count(string(got), "yx"); changes != 1 {
			t.Errorf("the writes are mixed: %d changes, want 1", changes)
		}
	})
}

func TestAddrs(t *testing.T) {
	a, b := Pipe(Link{})
	if a.LocalAddr().String() != "a" || a.RemoteAddr().String() != "b" || b.LocalAddr().Network() != "sim" || b.RemoteAddr() != a.LocalAddr() {
		t.Errorf("%v-%v, %v-%v", a.LocalAddr(), a.RemoteAddr(), b.LocalAddr(), b.RemoteAddr())
	}
}

func TestCloseWriteLetsReadGoOn(t *testing.T) {
	bubble(t, Link{RTT: 100 * ms}, func(t *testing.T, a, b *Conn) {
		a.Write([]byte("last"))
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_, err := a.Write([]byte("x"))
		wantErr(t, "write after CloseWrite", err, net.ErrClosed)
		if got, err := io.ReadAll(b); string(got) != "last" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		b.Write([]byte("answer"))
		b.Close()
		if got, err := io.ReadAll(a); string(got) != "answer" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		a.Close()
		wantErr(t, "CloseWrite after Close", a.CloseWrite(), net.ErrClosed)
	})
}
