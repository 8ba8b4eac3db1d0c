package inspect

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"weak"
)

var lastID atomic.Int64

// NextID gives an id that nothing else in the process has: 1, then 2 and so on. It is
// for implementations of Connection.
func NextID() int64 { return lastID.Add(1) }

// A ClientSource is a Client as its Registry sees it.
type ClientSource interface {
	InspectClient(Detail) Client      // takes a snapshot
	InspectConnections() []Connection // that have not ended
}

// A ServerSource is a Server as its Registry sees it.
type ServerSource interface {
	InspectServer(Detail) Server      // takes a snapshot
	InspectConnections() []Connection // that have not ended
}

// A Registry knows Clients and Servers from when they are made until they are
// closed or stopped. It does not keep them alive: one that its program has
// forgotten leaves the Registry when the garbage collector has found it. All
// methods may be called by several goroutines at a time.
type Registry struct {
	clients sources[ClientSource]
	servers sources[ServerSource]
}

// Default is the Registry of Clients and Servers that are not given another.
var Default = NewRegistry()

// NewRegistry makes an empty Registry: for tests, or to serve some Clients and
// Servers of a process apart from others.
func NewRegistry() *Registry { return new(Registry) }

// Clients gives snapshots of the Clients by their ids: in the order in which
// they were made.
func (r *Registry) Clients(d Detail) []Client {
	var all []Client
	for _, s := range r.clients.living() {
		all = append(all, s.InspectClient(d))
	}
	return all
}

// Servers gives snapshots of the Servers by their ids.
func (r *Registry) Servers(d Detail) []Server {
	var all []Server
	for _, s := range r.servers.living() {
		all = append(all, s.InspectServer(d))
	}
	return all
}

// Client gives the snapshot of one Client, if it lives.
func (r *Registry) Client(id int64, d Detail) (Client, bool) {
	s, ok := r.clients.get(id)
	if !ok {
		return Client{}, false
	}
	return s.InspectClient(d), true
}

// Server gives the snapshot of one Server, if it lives.
func (r *Registry) Server(id int64, d Detail) (Server, bool) {
	s, ok := r.servers.get(id)
	if !ok {
		return Server{}, false
	}
	return s.InspectServer(d), true
}

// ServerConnections gives the connections of a Server by their ids, if it
// lives: it looks at none of them.
func (r *Registry) ServerConnections(id int64) ([]Connection, bool) {
	s, ok := r.servers.get(id)
	if !ok {
		return nil, false
	}
	all := s.InspectConnections()
	slices.SortFunc(all, func(a, b Connection) int { return cmp.Compare(a.InspectID(), b.InspectID()) })
	return all, true
}

// Conn gives the snapshot of one connection with its streams, if it lives.
func (r *Registry) Conn(id int64) (Conn, bool) {
	find := func(all []Connection) (Conn, bool) {
		for _, c := range all {
			if c.InspectID() == id {
				return c.Inspect(true), true
			}
		}
		return Conn{}, false
	}
	for _, s := range r.clients.living() {
		if c, ok := find(s.InspectConnections()); ok {
			return c, true
		}
	}
	for _, s := range r.servers.living() {
		if c, ok := find(s.InspectConnections()); ok {
			return c, true
		}
	}
	return Conn{}, false
}

// AddClient adds a Client under an id of NextID. A nil Registry adds nothing.
func AddClient[T any, P interface {
	*T
	ClientSource
}](r *Registry, id int64, c P) {
	if r != nil {
		w := weak.Make((*T)(c))
		r.clients.add(id, func() (ClientSource, bool) { p := w.Value(); return P(p), p != nil })
	}
}

// AddServer adds a Server under an id of NextID. A nil Registry adds nothing.
func AddServer[T any, P interface {
	*T
	ServerSource
}](r *Registry, id int64, s P) {
	if r != nil {
		w := weak.Make((*T)(s))
		r.servers.add(id, func() (ServerSource, bool) { p := w.Value(); return P(p), p != nil })
	}
}

// Remove takes a Client or Server out. A nil Registry has none.
func (r *Registry) Remove(id int64) {
	if r != nil {
		r.clients.remove(id)
		r.servers.remove(id)
	}
}

// sources are what lives, weakly held. Nobody watches for what is forgotten:
// it is swept when there may be as much of it as there is of what lives.
type sources[S any] struct {
	mu    sync.Mutex
	byID  map[int64]func() (S, bool)
	sweep int // when there are so many
}

func (s *sources[S]) add(id int64, get func() (S, bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = make(map[int64]func() (S, bool))
	}
	s.byID[id] = get
	if len(s.byID) > s.sweep {
		s.sweepLocked()
		s.sweep = max(2*len(s.byID), 16)
	}
}

func (s *sources[S]) sweepLocked() {
	maps.DeleteFunc(s.byID, func(_ int64, get func() (S, bool)) bool {
		_, ok := get()
		return !ok
	})
}

func (s *sources[S]) remove(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, id)
}

func (s *sources[S]) get(id int64) (S, bool) {
	s.mu.Lock()
	get := s.byID[id]
	s.mu.Unlock()
	if get == nil {
		var none S
		return none, false
	}
	return get()
}

// living gives what lives, in the order of ids.
func (s *sources[S]) living() []S {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweepLocked()
	all := make([]S, 0, len(s.byID))
	for _, id := range slices.Sorted(maps.Keys(s.byID)) {
		if x, ok := s.byID[id](); ok {
			all = append(all, x)
		}
	}
	return all
}
