package controlplane

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	xdsserver "github.com/envoyproxy/go-control-plane/pkg/server/v3"
)

// A ledger knows what each stream has accepted and refused.
type ledger struct {
	mu      sync.Mutex
	streams map[int64]*stream
	// changed is closed at the next change.
	changed chan struct{}
	// life is the number of control planes before, whose streams had the same ids.
	life int64
}

// A stream is what one client asks for, by the type of resource.
type stream struct {
	node  string
	types map[string]*answers
}

// answers are those of one type.
type answers struct {
	names    []string
	accepted string
	refused  string
}

func newLedger() *ledger {
	return &ledger{streams: make(map[int64]*stream), changed: make(chan struct{})}
}

// callbacks are for one life of the control plane, which counts its streams from
// one on.
func (l *ledger) callbacks() xdsserver.Callbacks {
	l.mu.Lock()
	l.life++
	base := l.life << 32
	l.mu.Unlock()
	return xdsserver.CallbackFuncs{
		StreamOpenFunc: func(_ context.Context, id int64, _ string) error {
			l.change(func() { l.streams[base+id] = &stream{types: make(map[string]*answers)} })
			return nil
		},
		StreamClosedFunc: func(id int64, _ *corepb.Node) {
			l.change(func() { delete(l.streams, base+id) })
		},
		StreamRequestFunc: func(id int64, r *discoverypb.DiscoveryRequest) error {
			l.change(func() { l.streams[base+id].heard(r) })
			return nil
		},
	}
}

func (l *ledger) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.changed)
	l.changed = make(chan struct{})
}

// wait waits until ok says so of all streams. It is called under the lock.
func (l *ledger) wait(ctx context.Context, what string, ok func([]*stream) (bool, error)) error {
	for {
		l.mu.Lock()
		streams := slices.Collect(maps.Values(l.streams))
		done, err := ok(streams)
		changed, state := l.changed, describe(streams)
		l.mu.Unlock()
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waited for %s, the clients are at %s: %w", what, state, ctx.Err())
		}
	}
}

// heard notes a request, which is an answer too if it has a nonce.
func (s *stream) heard(r *discoverypb.DiscoveryRequest) {
	if id := r.GetNode().GetId(); id != "" {
		s.node = id
	}
	a := s.types[r.GetTypeUrl()]
	if a == nil {
		a = new(answers)
		s.types[r.GetTypeUrl()] = a
	}
	a.names = r.GetResourceNames()
	switch {
	case r.GetErrorDetail() != nil:
		a.refused = r.GetErrorDetail().GetMessage()
	case r.GetResponseNonce() != "":
		a.accepted, a.refused = r.GetVersionInfo(), ""
	}
}

// accepted: a client that has not come to ask for endpoints is on its way.
func (s *stream) accepted(version string) (bool, error) {
	for _, t := range slices.Sorted(maps.Keys(s.types)) {
		if a := s.types[t]; a.refused != "" {
			return false, fmt.Errorf("a client refuses version %s of %s: %s", version, t, a.refused)
		}
	}
	for _, t := range []string{resource.ListenerType, resource.ClusterType, resource.EndpointType} {
		if s.types[t] == nil {
			return false, nil
		}
	}
	for _, a := range s.types {
		if a.accepted != version && len(a.names) > 0 {
			return false, nil
		}
	}
	return true, nil
}

func describe(streams []*stream) string {
	var all []string
	for _, s := range streams {
		var types []string
		for _, t := range slices.Sorted(maps.Keys(s.types)) {
			a := s.types[t]
			types = append(types, fmt.Sprintf("%s %q: %q", t[strings.LastIndexByte(t, '.')+1:], a.names, a.accepted))
		}
		all = append(all, s.node+": "+strings.Join(types, ", "))
	}
	slices.Sort(all)
	if len(all) == 0 {
		return "nothing, there are none"
	}
	return strings.Join(all, "; ")
}
