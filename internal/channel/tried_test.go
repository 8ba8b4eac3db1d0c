package channel

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/credentials"
)

// namedConn is a SubConn, which has a connection unless its name is "gone".
type namedConn struct {
	balancer.SubConn
	transport.ClientTransport
	name string
}

func (c *namedConn) Transport() transport.ClientTransport {
	if c.name == "gone" {
		return nil
	}
	return c
}

func (*namedConn) PerRPC() (credentials.PerRPCCredentials, bool) { return nil, false }

// sequence is a picker that gives SubConns one after the other, and an error when
// there are no more of them.
type sequence struct {
	conns map[string]*namedConn
	names []string
	done  []string
}

func (s *sequence) Pick(balancer.PickInfo) (balancer.PickResult, error) {
	if len(s.names) == 0 {
		return balancer.PickResult{}, errors.New("no more")
	}
	name := s.names[0]
	s.names = s.names[1:]
	if s.conns[name] == nil {
		s.conns[name] = &namedConn{name: name}
	}
	return balancer.PickResult{SubConn: s.conns[name], Done: func(d balancer.DoneInfo) {
		s.done = append(s.done, fmt.Sprint(name, " ", d.Err))
	}}, nil
}

// An attempt goes to another connection than those before it if the picker has one
// within three picks. Who is not chosen hears that there is no call.
func TestTried(t *testing.T) {
	for _, tt := range []struct {
		name  string
		tried []string
		names []string
		want  string
		left  int // picks
		done  []string
	}{
		{name: "the first attempt", names: []string{"a", "b"}, want: "a", left: 1},
		{name: "another at once", tried: []string{"a"}, names: []string{"b", "c"}, want: "b", left: 1},
		{name: "another", tried: []string{"a"}, names: []string{"a", "b", "c"}, want: "b", left: 1, done: []string{"a <nil>"}},
		{name: "the third", tried: []string{"a", "b"}, names: []string{"a", "b", "c"}, want: "c", done: []string{"b <nil>", "a <nil>"}},
		{name: "too late", tried: []string{"a"}, names: []string{"a", "a", "a", "b"}, want: "a", left: 1, done: []string{"a <nil>", "a <nil>"}},
		{name: "no other", tried: []string{"a"}, names: []string{"a"}, want: "a"},
		{name: "another is gone", tried: []string{"a"}, names: []string{"a", "gone", "b"}, want: "b", done: []string{"gone <nil>", "a <nil>"}},
		{name: "the others are gone", tried: []string{"a"}, names: []string{"a", "gone", "gone"}, want: "a", done: []string{"gone <nil>", "gone <nil>"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &sequence{conns: make(map[string]*namedConn), names: slices.Concat(tt.tried, tt.names)}
			picker := &spread{balancing: new(balancing), picker: s}
			var before Pick
			for range tt.tried {
				before = Pick{Tried: before.Next()}
				if _, err := picker.pick(t.Context(), &before); err != nil {
					t.Fatal(err)
				}
			}
			p := Pick{Tried: before.Next()}
			tr, err := picker.pick(t.Context(), &p)
			if err != nil {
				t.Fatal(err)
			}
			if got := tr.(*namedConn).name; got != tt.want || len(s.names) != tt.left || !slices.Equal(s.done, tt.done) {
				t.Errorf("it goes to %s, %d picks are left, done are %q; want %s, %d, %q", got, len(s.names), s.done, tt.want, tt.left, tt.done)
			}
			s.done = nil
			p.End(balancer.DoneInfo{Err: errBroken})
			if want := fmt.Sprint(tt.want, " ", errBroken); !slices.Equal(s.done, []string{want}) {
				t.Errorf("the end is told as %q, want %q", s.done, want)
			}
		})
	}
	if (*Pick)(nil).Next() != nil || new(Pick).Next() != nil {
		t.Error("a call without a balancer has tried something")
	}
}
