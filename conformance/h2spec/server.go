package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	startTime = 20 * time.Second // for a server to listen
	stopTime  = 10 * time.Second // from SIGTERM to the end
)

// listening is how the server tells its port.
var listening = regexp.MustCompile(`listening on .*:(\d+)$`)

// A server is the process of an interop server.
type server struct {
	port  string
	cmd   *exec.Cmd
	ended chan struct{}
	words string // its output; written before ended is closed
	err   error  // of its end; likewise
}

// start starts a server and waits until it listens. It ends with ctx.
func start(ctx context.Context, command string, args ...string) (*server, error) {
	s := &server{cmd: exec.CommandContext(ctx, command, args...), ended: make(chan struct{})}
	s.cmd.WaitDelay = time.Second
	out, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	port := make(chan string, 1)
	go s.watch(out, port)
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
		return nil, fmt.Errorf("the server ended before it listened (%w):\n%s", s.err, s.words)
	case <-late.C:
		s.kill()
		return nil, fmt.Errorf("the server does not listen after %v:\n%s", startTime, s.words)
	}
}

// watch reads what the server says until it ends.
func (s *server) watch(out io.Reader, port chan<- string) {
	var words strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		words.WriteString(lines.Text() + "\n")
		if m := listening.FindStringSubmatch(lines.Text()); m != nil && port != nil {
			port <- m[1]
			port = nil
		}
	}
	s.words, s.err = words.String(), s.cmd.Wait()
	close(s.ended)
}

// stop ends the server with SIGTERM. It is an error if the server had ended by
// itself, or does not end well.
func (s *server) stop() error {
	select {
	case <-s.ended:
		return fmt.Errorf("it had ended by itself (%w):\n%s", s.err, s.words)
	default:
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	late := time.NewTimer(stopTime)
	defer late.Stop()
	select {
	case <-s.ended:
	case <-late.C:
		s.kill()
		return fmt.Errorf("it goes on %v after SIGTERM", stopTime)
	}
	if s.err != nil {
		return fmt.Errorf("%w:\n%s", s.err, s.words)
	}
	return nil
}

// kill ends the server at once.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}
