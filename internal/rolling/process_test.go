//go:build unix

package rolling

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// serve answers each connection with a word, until SIGTERM.
func serve(address string, args []string) error {
	asked, forget := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer forget()
	if args[0] == "refuse" {
		return errors.New("there is nothing to serve")
	}
	lis, err := Listen(asked, address)
	if err != nil {
		return err
	}
	Listening(lis.Addr().String())
	go func() {
		for {
			nc, err := lis.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(nc, args[0])
			nc.Close()
		}
	}()
	<-asked.Done()
	if args[0] == "fail" {
		return errors.New("the end went wrong")
	}
	return nil
}

func ask(t *testing.T, address string) string {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	all, _ := io.ReadAll(nc)
	return string(all)
}

// A server ends and comes back on the same address.
func TestProcess_IsRestarted(t *testing.T) {
	p := Start(t, "127.0.0.1:0", "hello")
	first := p.Address
	for _, next := range []string{"hello again", ""} {
		if got := ask(t, p.Address); got != p.Args[0] {
			t.Errorf("it says %q, want %q", got, p.Args[0])
		}
		p.Terminate()
		if _, err := net.Dial("tcp", p.Address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a server that has ended: %v", err)
		}
		p.Args = []string{next}
		p.Start()
		if p.Address != first {
			t.Errorf("it listens on %s, and before on %s", p.Address, first)
		}
	}
	p.Kill()
	if err := p.terminate(); err == nil {
		t.Error("one that was killed is terminated")
	}
}

// What is wrong with a server is told, in its own words.
func TestProcess_Fails(t *testing.T) {
	p := &Process{t: t, Args: []string{"refuse"}}
	if err := p.start(); err == nil || !strings.Contains(err.Error(), "ended before it listened") {
		t.Errorf("a server that refuses: %v", err)
	}
	if !strings.Contains(p.said.String(), "nothing to serve") {
		t.Errorf("it said %q", p.said)
	}
	p = Start(t, "127.0.0.1:0", "fail")
	if err := p.terminate(); err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("a server whose end fails: %v", err)
	}
}

// A server does not outlive who started it, however that ends.
func TestProcess_EndsWithItsParent(t *testing.T) {
	p := &Process{Address: "127.0.0.1:0", t: t, Args: []string{"hello"}}
	p.Start()
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	<-p.over
	if p.err == nil || !strings.Contains(p.err.Error(), "exit status 3") {
		t.Errorf("without a parent: %v", p.err)
	}
}
