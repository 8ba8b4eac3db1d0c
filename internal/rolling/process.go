package rolling

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// variable makes the program of a test a server. Its value is nothing that counts.
const variable = "WEIR_ROLLING_SERVER"

// listening is how a server says that it accepts connections.
const listening = "rolling: listening on "

const (
	startTime = time.Minute // for a server to listen
	stopTime  = time.Minute // from SIGTERM to the end
)

// Main is the first that the TestMain of a package does: if [Start] began this
// process, Main runs serve with its arguments and ends the process; if not, it does
// nothing. serve listens on the address, calls [Listening] when it accepts
// connections and ends after SIGTERM; an error makes the exit code 1. The process
// ends with the test, too, even one that does not end as it should.
func Main(serve func(address string, args []string) error) {
	if os.Getenv(variable) == "" {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until nobody is there who could write
		os.Exit(3)
	}()
	if err := serve(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Listening says that the server accepts connections at this address.
func Listening(address string) { fmt.Fprintln(os.Stdout, listening+address) }

// A Process is a server that runs by itself. Its methods are for one goroutine.
type Process struct {
	// Address is what it listens on.
	Address string
	// Args are those of what Main runs, besides; others count from the next Start.
	Args []string

	t    testing.TB
	said *said

	// Of the process that runs; cmd is nil if none does.
	cmd   *exec.Cmd
	stdin io.Closer
	over  chan struct{} // closed at its end
	err   error         // that of its end
}

// said is what a process says. It is safe for several goroutines.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// Start starts the program of this test as a server and waits until it listens.
// The address may have port 0. The server ends with the test.
func Start(t testing.TB, address string, args ...string) *Process {
	t.Helper()
	p := &Process{Address: address, Args: args, t: t}
	p.Start()
	t.Cleanup(p.Kill)
	return p
}

// Start starts a server, that has ended, again: on its address, with its arguments.
func (p *Process) Start() {
	p.t.Helper()
	if err := p.start(); err != nil {
		p.t.Fatalf("the server %s %v: %v\n%s", p.Address, p.Args, err, p.said)
	}
}

func (p *Process) start() error {
	p.said = new(said)
	program, err := os.Executable()
	if err != nil {
		return err
	}
	p.cmd = exec.Command(program, append([]string{p.Address}, p.Args...)...)
	// Without the second a program with the race detector sleeps at its end.
	p.cmd.Env = append(os.Environ(), variable+"=1", "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	p.cmd.Stderr = p.said
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	address, over := make(chan string, 1), make(chan struct{})
	p.over = over
	go func(cmd *exec.Cmd) {
		defer close(over)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if a, ok := strings.CutPrefix(lines.Text(), listening); ok {
				address <- a
			}
		}
		p.err = cmd.Wait()
	}(p.cmd)
	late := time.NewTimer(startTime)
	defer late.Stop()
	select {
	case p.Address = <-address:
		return nil
	case <-over:
		p.cmd = nil
		return fmt.Errorf("ended before it listened: %w", p.err)
	case <-late.C:
		p.Kill()
		return fmt.Errorf("does not listen after %v", startTime)
	}
}

// Terminate sends SIGTERM and waits for the end. The test fails if the exit code
// is not 0.
func (p *Process) Terminate() {
	p.t.Helper()
	if err := p.terminate(); err != nil {
		p.t.Errorf("the server %s %v after SIGTERM: %v\n%s", p.Address, p.Args, err, p.said)
	}
}

func (p *Process) terminate() error {
	if p.cmd == nil {
		return errors.New("had ended before")
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	late := time.NewTimer(stopTime)
	defer late.Stop()
	select {
	case <-p.over:
		p.cmd = nil
		return p.err
	case <-late.C:
		p.Kill()
		return fmt.Errorf("goes on for %v", stopTime)
	}
}

// Signal sends a signal, to a server that runs.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("the server %s %v: %v", p.Address, p.Args, err)
	}
}

// Kill ends the server at once, if it runs, and waits for its end.
func (p *Process) Kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.over
	p.cmd = nil
}
