package pool

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc/connectivity"
)

// Defaults of Config.
const (
	DefaultMaxClients  = 100
	DefaultIdleTimeout = 30 * time.Minute
)

// Config configures a ConnectionPool. The zero value means the defaults.
type Config struct {
	// MaxClients is how many Clients there are at most. Get waits for one that can
	// go when all are in use. Zero means DefaultMaxClients, a negative value no
	// bound.
	MaxClients int
	// IdleTimeout is how long a Client that nobody uses is kept. Zero means
	// DefaultIdleTimeout; with a negative value it is kept until another takes its
	// place.
	IdleTimeout time.Duration
}

// A Profile is a set of options that Clients are shared under: Get with the
// same target and the same *Profile gives the same Client. Two Profiles never
// share a Client, even if their options are equal, because options are
// functions, credentials among them, which cannot be compared. So make one
// Profile for each set of options, once, and keep it.
type Profile struct{ options []weir.DialOption }

// NewProfile makes a Profile of the options that weir.NewClient takes.
func NewProfile(options ...weir.DialOption) *Profile {
	return &Profile{options: append([]weir.DialOption(nil), options...)}
}

// ErrClosed is what Get returns after Close.
var ErrClosed = errors.New("pool: the pool is closed")

var errNoProfile = errors.New("pool: Get needs a Profile, which NewProfile makes: it says how connections are secured")

// A ConnectionPool shares Clients. Its methods may be called by several
// goroutines at a time. New makes one, Close ends it; in between it has no
// goroutine of its own.
type ConnectionPool struct {
	max  int // negative for no bound
	idle time.Duration

	mu sync.Mutex
	// Guarded by mu.
	clients map[key]*shared
	unused  list.List // of *shared, the least recently used first
	waiters waiters
	timer   *time.Timer // of the first of unused, or earlier; nil if none is set
	closed  bool
	counts  counts

	closing sync.WaitGroup // of Clients that have left; none joins when closed is set
	leaving atomic.Int64
}

type key struct {
	target  string
	profile *Profile
}

// shared is a Client of the pool.
type shared struct {
	key  key
	make sync.Once
	// Set by make; who has not passed it looks at client alone.
	client atomic.Pointer[weir.Client]
	err    error

	users atomic.Int64 // Conns that are open and calls that run
	calls atomic.Int64

	// Guarded by ConnectionPool.mu.
	place *list.Element // in unused, or nil
	since time.Time     // when it came there
}

// New makes a pool without Clients.
func New(cfg Config) *ConnectionPool {
	p := &ConnectionPool{max: cfg.MaxClients, idle: cfg.IdleTimeout, clients: make(map[key]*shared)}
	if p.max == 0 {
		p.max = DefaultMaxClients
	}
	if p.idle == 0 {
		p.idle = DefaultIdleTimeout
	}
	return p
}

// Get gives the Client of a target under a Profile, and makes it if there is
// none. It does no I/O: the first call connects. While the pool is full and
// every Client is in use, Get waits, first come first served, as long as ctx
// allows; its error then wraps that of ctx. An error of weir.NewClient is
// returned at once. The Conn must be closed.
//
// A Client whose server cannot be reached is shared like any other, because it
// tries again by itself: a second one would fail as well, and only try more
// often.
func (p *ConnectionPool) Get(ctx context.Context, target string, profile *Profile) (*Conn, error) {
	if profile == nil {
		return nil, errNoProfile
	}
	s, err := p.take(ctx, key{target, profile})
	if err != nil {
		return nil, err
	}
	s.make.Do(func() {
		c, err := weir.NewClient(target, profile.options...)
		if s.err = err; err == nil {
			s.client.Store(c)
			p.mu.Lock()
			p.counts.created++
			p.mu.Unlock()
		}
	})
	if s.err != nil {
		p.drop(s)
		return nil, s.err
	}
	return &Conn{pool: p, shared: s}, nil
}

// take finds or adds what is shared under k, with one user more.
func (p *ConnectionPool) take(ctx context.Context, k key) (*shared, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for turn := false; ; turn = true {
		if turn {
			p.waiters.called--
		}
		if p.closed {
			return nil, ErrClosed
		}
		s := p.clients[k]
		switch {
		case s != nil:
			p.counts.reused++
		case (turn || p.waiters.none()) && p.roomLocked():
			s = &shared{key: k}
			p.clients[k] = s
			p.waiters.callFor(k)
		}
		if s != nil {
			s.users.Add(1)
			p.useLocked(s)
			p.callLocked()
			return s, nil
		}
		w := p.waiters.add(k, turn)
		p.callLocked()
		p.mu.Unlock()
		select {
		case <-w.called:
		case <-ctx.Done():
		}
		p.mu.Lock()
		if p.waiters.remove(w) || ctx.Err() != nil {
			if w.gone {
				p.waiters.called--
			}
			p.callLocked()
			return nil, fmt.Errorf("pool: no Client for %q: all %d are in use (Config.MaxClients): %w", k.target, p.max, ctx.Err())
		}
	}
}

// roomLocked reports whether one more Client may be made, and makes room for it
// if it has to.
func (p *ConnectionPool) roomLocked() bool {
	if p.max < 0 || len(p.clients) < p.max {
		return true
	}
	s := p.victimLocked()
	if s == nil {
		return false
	}
	p.counts.evicted++
	p.removeLocked(s)
	return true
}

// victimLocked is the Client that can best be spared: one that has no connection
// and fails to get one, else the least recently used.
func (p *ConnectionPool) victimLocked() *shared {
	var first *shared
	for e := p.unused.Front(); e != nil; e = e.Next() {
		s := e.Value.(*shared)
		if s.client.Load().GetState() == connectivity.TransientFailure {
			return s
		}
		if first == nil {
			first = s
		}
	}
	return first
}

// callLocked has the next who waits look again, if there is something for it.
func (p *ConnectionPool) callLocked() {
	if p.closed || p.max < 0 || len(p.clients) < p.max || p.unused.Len() > 0 {
		p.waiters.callNext()
	}
}

// useLocked says that s is used again.
func (p *ConnectionPool) useLocked(s *shared) {
	if s.place != nil {
		p.unused.Remove(s.place)
		s.place = nil
	}
}

// left says that a user of s is gone.
func (p *ConnectionPool) left(s *shared) {
	if s.users.Add(-1) > 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.clients[s.key] != s || s.place != nil || s.users.Load() > 0 {
		return
	}
	s.place, s.since = p.unused.PushBack(s), time.Now()
	p.watchLocked()
	p.callLocked()
}

// drop forgets s, of which there is no Client.
func (p *ConnectionPool) drop(s *shared) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.users.Add(-1)
	if !p.closed && p.clients[s.key] == s {
		delete(p.clients, s.key)
		p.counts.failed++
		p.callLocked()
	}
}

// removeLocked takes an unused Client out and has it closed. Nobody uses it: not
// even its calls, which have all ended.
func (p *ConnectionPool) removeLocked(s *shared) {
	p.useLocked(s)
	delete(p.clients, s.key)
	p.leaving.Add(1)
	p.closing.Go(func() {
		_ = s.client.Load().Close()
		p.leaving.Add(-1)
	})
}

// watchLocked sets the timer for the first that may have to go.
func (p *ConnectionPool) watchLocked() {
	first := p.unused.Front()
	if p.timer != nil || p.idle < 0 || first == nil {
		return
	}
	p.timer = time.AfterFunc(time.Until(first.Value.(*shared).since.Add(p.idle)), p.expire)
}

// expire is the timer's.
func (p *ConnectionPool) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = nil
	if p.closed {
		return
	}
	for e := p.unused.Front(); e != nil && time.Since(e.Value.(*shared).since) >= p.idle; e = p.unused.Front() {
		p.counts.expired++
		p.removeLocked(e.Value.(*shared))
	}
	p.watchLocked()
	p.callLocked()
}

// Close closes all Clients, with their calls, and waits until nothing is left of
// them. Those who wait in Get, and later ones, get ErrClosed. It may be called
// again.
func (p *ConnectionPool) Close() error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		p.closeLocked()
	}
	p.mu.Unlock()
	p.closing.Wait()
	return nil
}

func (p *ConnectionPool) closeLocked() {
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.waiters.callAll()
	for _, s := range p.clients {
		p.closing.Go(func() {
			s.make.Do(func() { s.err = ErrClosed })
			if c := s.client.Load(); c != nil {
				_ = c.Close()
			}
		})
	}
}
