package channel

import (
	"slices"
	"sync"

	"google.golang.org/grpc/balancer"
)

// Tried are the connections of a balancer that the attempts of one call were sent
// to. The attempts that follow prefer others: a server that did not answer, or
// failed, is the least likely to do better, and a balancer does not know which
// picks are of one call. It may be used by several goroutines at a time. The zero
// Tried has none.
type Tried struct {
	mu  sync.Mutex
	all []connected
}

// morePicks is how often a picker is asked again for an attempt. What it gave
// before is done then, with a DoneInfo that says nothing: a balancer that counts
// takes that for a call that was not made.
const morePicks = 2

// Next gives what the Pick of the call's next attempt gets as its Tried. p may be
// nil.
func (p *Pick) Next() *Tried {
	switch {
	case p == nil:
		return nil
	case p.Tried == nil && p.subConn != nil:
		return &Tried{all: []connected{p.subConn}}
	}
	return p.Tried
}

func (t *Tried) has(sc connected) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Contains(t.all, sc)
}

func (t *Tried) add(sc connected) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.all, sc) {
		t.all = append(t.all, sc)
	}
}

// untried gives r, or what the picker gives in its place if r was tried and that
// was not.
func (s *spread) untried(t *Tried, info balancer.PickInfo, r balancer.PickResult) balancer.PickResult {
	if sc, ok := r.SubConn.(connected); !ok || !t.has(sc) {
		return r
	}
	for range morePicks {
		other, err := s.picker.Pick(info)
		if err != nil {
			break
		}
		if sc, ok := other.SubConn.(connected); ok && sc.Transport() != nil && !t.has(sc) {
			r, other = other, r
			unpicked(other)
			break
		}
		unpicked(other)
	}
	return r
}

// unpicked tells the balancer that there is no call after all.
func unpicked(r balancer.PickResult) {
	if r.Done != nil {
		r.Done(balancer.DoneInfo{})
	}
}
