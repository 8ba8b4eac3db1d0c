package h2peer

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
)

// A script is a testing.TB whose failures are looked at by another test.
type script struct {
	testing.TB // nil: anything else that is called panics

	complaint string
	cleanups  []func()
}

func (s *script) Helper()          {}
func (s *script) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }
func (s *script) Errorf(format string, args ...any) {
	if s.complaint == "" {
		s.complaint = fmt.Sprintf(format, args...)
	}
}
func (s *script) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	runtime.Goexit()
}

// run runs steps until they are over or one ends the script, and gives the
// complaint.
func (s *script) run(steps func()) string {
	done := make(chan struct{})
	go func() {
		defer close(done)
		steps()
	}()
	<-done
	return s.complaint
}

func (s *script) end() {
	for _, f := range s.cleanups {
		f()
	}
}

// pair has a client and a server, both scripted, on one connection in a
// bubble. The client is under test, with its complaints going to s; the server
// plays the subject.
func pair(t *testing.T, f func(t *testing.T, s *script, client, server *Peer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		s := new(script)
		defer s.end()
		f(t, s, NewClient(s, a), NewServer(t, b))
	})
}

// shaken is pair after the handshake of both.
func shaken(t *testing.T, f func(t *testing.T, s *script, client, server *Peer)) {
	t.Helper()
	pair(t, func(t *testing.T, s *script, client, server *Peer) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			server.Handshake()
		}()
		if complaint := s.run(func() { client.Handshake() }); complaint != "" {
			t.Fatal(complaint)
		}
		<-done
		f(t, s, client, server)
	})
}

const second = time.Second
