package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTime  = 20 * time.Second // for a server to listen
	clientTime = 60 * time.Second // for a case
	stopTime   = 10 * time.Second // from SIGTERM to the end
)

// listening is how the servers of both sides tell their port.
var listening = regexp.MustCompile(`listening on .*:(\d+)\n`)

// output is what a process says. It is safe for several goroutines.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer  // guarded by mu
	port chan<- string // gets the port, once; nil when it has
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	if o.port != nil {
		if m := listening.FindSubmatch(o.text.Bytes()); m != nil {
			o.port <- string(m[1])
			o.port = nil
		}
	}
	return len(p), nil
}

// wordLines is how many lines of a process are shown.
const wordLines = 12

// words gives the last lines.
func (o *output) words() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(o.text.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-wordLines):], "\n")
}

// A server is the process of an interop server.
type server struct {
	output
	cmd   *exec.Cmd
	port  string
	ended chan struct{}
	err   error // of its end; written before ended is closed
}

// start starts a server and waits until it listens. It ends with ctx.
func start(ctx context.Context, command, args []string) (*server, error) {
	port := make(chan string, 1)
	s := &server{ended: make(chan struct{}), output: output{port: port}}
	s.cmd = process(ctx, command, args, &s.output)
	// grpc-go's server tells its port in the log.
	s.cmd.Env = append(s.cmd.Env, "GRPC_GO_LOG_SEVERITY_LEVEL=info")
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	late := time.NewTimer(startTime)
	defer late.Stop()
	select {
	case s.port = <-port:
		return s, nil
	case <-s.ended:
		select {
		case s.port = <-port: // it listened, and stop says that it has ended
			return s, nil
		default:
		}
		return nil, fmt.Errorf("the server ended before it listened (%w):\n%s", s.err, s.words())
	case <-late.C:
		s.kill()
		return nil, fmt.Errorf("the server does not listen after %v:\n%s", startTime, s.words())
	}
}

// stop ends the server with SIGTERM. The error is its exit status.
func (s *server) stop() error {
	select {
	case <-s.ended:
		return errors.New("it had ended by itself")
	default:
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	late := time.NewTimer(stopTime)
	defer late.Stop()
	select {
	case <-s.ended:
		return s.err
	case <-late.C:
		s.kill()
		return fmt.Errorf("it goes on %v after SIGTERM", stopTime)
	}
}

// kill ends the server at once, if it has not ended yet.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// runClient runs a client to its end and gives its last words.
func runClient(ctx context.Context, command, args []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, clientTime)
	defer cancel()
	var out output
	err := process(ctx, command, args, &out).Run()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("no end after %v", clientTime)
	}
	return out.words(), err
}

// process makes a process that is killed when ctx ends.
func process(ctx context.Context, command, args []string, out *output) *exec.Cmd {
	cmd := exec.CommandContext(ctx, command[0], append(command[1:len(command):len(command)], args...)...)
	cmd.Stdout, cmd.Stderr = out, out
	// Without it a program with the race detector sleeps a second at its end.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	return cmd
}
