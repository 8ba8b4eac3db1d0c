package transport

import (
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// counts is a sleeper that counts.
type counts chan struct{}

func (c counts) readable() { c <- struct{}{} }

func rawConn(t *testing.T, nc net.Conn) syscall.RawConn {
	t.Helper()
	rc, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return rc
}

// A sleeper is told once, of octets, of the peer's end, and of what came before
// it slept, and may sleep again. When nobody does, nothing is left.
func TestPoller(t *testing.T) {
	for network := range sockets {
		if network == "tls" {
			continue
		}
		t.Run(network, func(t *testing.T) {
			var p poller
			const n = 200 // more than one wait gives
			type pair struct {
				a, b net.Conn
				told counts
			}
			pairs := make([]pair, n)
			for i := range pairs {
				a, b := sockets[network](t)
				pairs[i] = pair{a, b, make(counts, 1)}
			}
			for round := range 3 {
				for i, c := range pairs {
					if round == 1 {
						_, _ = c.b.Write([]byte("x")) // before
					}
					if p.sleep(rawConn(t, c.a), c.told) == 0 {
						t.Fatalf("socket %d cannot sleep", i)
					}
				}
				for _, c := range pairs {
					switch round {
					case 0:
						_, _ = c.b.Write([]byte("x"))
					case 2:
						_ = c.b.Close()
					}
				}
				for _, c := range pairs {
					<-c.told
					_, _ = c.a.Read(make([]byte, 10))
				}
				for i, c := range pairs {
					if len(c.told) > 0 {
						t.Errorf("round %d: socket %d was told twice", round, i)
					}
				}
				if p.mu.Lock(); p.set != nil || len(p.sleepers) > 0 {
					t.Errorf("round %d: nobody sleeps, and %d are known", round, len(p.sleepers))
				}
				p.mu.Unlock()
			}
			for _, c := range pairs {
				_ = c.a.Close()
			}
		})
	}
}

// Who cancels is not told; a ticket is good for one sleep.
func TestPoller_Cancel(t *testing.T) {
	var p poller
	a, b := sockets["tcp"](t)
	c, d := sockets["tcp"](t)
	first, second, other := make(counts, 1), make(counts, 1), make(counts, 1)
	ticket := p.sleep(rawConn(t, a), first)
	if !p.cancel(ticket) || p.cancel(ticket) || p.cancel(0) {
		t.Error("a sleep is cancelled once")
	}
	again := p.sleep(rawConn(t, a), second)
	if p.sleep(rawConn(t, c), other); again == ticket || !p.cancel(again) {
		t.Errorf("ticket %d, then %d", ticket, again)
	}
	third := p.sleep(rawConn(t, a), first) // in the set already
	_, _ = b.Write([]byte("x"))
	_, _ = d.Write([]byte("x"))
	<-first
	<-other
	if p.cancel(third) || len(second) > 0 {
		t.Error("who was told is cancelled, or who cancelled told")
	}
	for _, nc := range []net.Conn{a, b, c, d} {
		_ = nc.Close()
	}
	if p.sleep(rawConn(t, a), first) != 0 || p.set != nil {
		t.Error("a closed socket sleeps")
	}
}

// Sleepers come and go, and are told or cancel, never both and never neither.
func TestPoller_Race(t *testing.T) {
	var p poller
	a, b := sockets["tcp"](t)
	go func() {
		for {
			if _, err := b.Write([]byte("x")); err != nil {
				return
			}
			runtime.Gosched()
		}
	}()
	told, cancelled := 0, 0
	for range 2000 {
		c := make(counts, 1)
		ticket := p.sleep(rawConn(t, a), c)
		runtime.Gosched()
		if p.cancel(ticket) {
			cancelled++
			if len(c) > 0 {
				t.Fatal("told and cancelled")
			}
			continue
		}
		<-c
		told++
		if _, err := a.Read(make([]byte, 1<<10)); err != nil {
			t.Fatal(err)
		}
	}
	t.Log(told, "told,", cancelled, "cancelled")
	_, _ = a.Close(), b.Close()
}

// When the system does not let the goroutine wait, all are told, and others can
// sleep.
func TestPoller_CannotWait(t *testing.T) {
	var p poller
	a, b := sockets["tcp"](t)
	c, d := sockets["tcp"](t)
	first, second := make(counts, 1), make(counts, 1)
	if p.sleep(rawConn(t, a), first) == 0 || p.sleep(rawConn(t, c), second) == 0 {
		t.Fatal("sockets cannot sleep")
	}
	p.mu.Lock()
	_ = p.set.file.SetReadDeadline(time.Unix(1, 0)) // fails the wait
	p.mu.Unlock()
	for _, told := range []counts{first, second} {
		select {
		case <-told:
		case <-time.After(10 * time.Second):
			t.Fatal("who sleeps is never told")
		}
	}
	ticket := p.sleep(rawConn(t, a), first)
	if ticket == 0 {
		t.Fatal("nobody can sleep any more")
	}
	_, _ = b.Write([]byte("x"))
	<-first
	for _, nc := range []net.Conn{a, b, c, d} {
		_ = nc.Close()
	}
}
