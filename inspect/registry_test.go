package inspect_test

import (
	"runtime"
	"slices"
	"testing"

	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// someone is a Client and a Server that do nothing.
type someone struct {
	id    int64
	conns []inspect.Connection
}

func (s *someone) InspectClient(inspect.Detail) inspect.Client { return inspect.Client{ID: s.id} }
func (s *someone) InspectServer(inspect.Detail) inspect.Server { return inspect.Server{ID: s.id} }
func (s *someone) InspectConnections() []inspect.Connection    { return slices.Clone(s.conns) }

type conn int64

func (c conn) InspectID() int64 { return int64(c) }
func (c conn) Inspect(streams bool) inspect.Conn {
	s := inspect.Conn{ID: int64(c)}
	if streams {
		s.Streams = []inspect.Stream{{ID: 1}}
	}
	return s
}

func add(r *inspect.Registry, server bool, conns ...inspect.Connection) *someone {
	s := &someone{id: inspect.NextID(), conns: conns}
	if server {
		inspect.AddServer(r, s.id, s)
	} else {
		inspect.AddClient(r, s.id, s)
	}
	return s
}

// Clients and Servers are listed in the order in which they were made, until
// they are removed, and each is found by its id and its connections by theirs.
func TestRegistry_FindsWhatLives(t *testing.T) {
	r := inspect.NewRegistry()
	high, low := conn(inspect.NextID()+1000), conn(inspect.NextID())
	first, server, second := add(r, false, conn(-1)), add(r, true, high, low), add(r, false)
	if got := r.Clients(inspect.Totals); len(got) != 2 || got[0].ID != first.id || got[1].ID != second.id {
		t.Errorf("clients %+v", got)
	}
	if got := r.Servers(inspect.Totals); len(got) != 1 || got[0].ID != server.id {
		t.Errorf("servers %+v", got)
	}
	if got, ok := r.Client(second.id, inspect.Totals); !ok || got.ID != second.id {
		t.Errorf("the second client: %+v, %v", got, ok)
	}
	if _, ok := r.Client(server.id, inspect.Totals); ok {
		t.Error("a server was found as a client")
	}
	if got, ok := r.Server(server.id, inspect.Totals); !ok || got.ID != server.id {
		t.Errorf("the server: %+v, %v", got, ok)
	}
	if got, ok := r.ServerConnections(server.id); !ok || len(got) != 2 || got[0] != low || got[1] != high {
		t.Errorf("its connections: %v, %v", got, ok)
	}
	if _, ok := r.ServerConnections(first.id); ok {
		t.Error("a client has a server's connections")
	}
	for _, id := range []conn{-1, high, low} {
		if got, ok := r.Conn(int64(id)); !ok || got.ID != int64(id) || len(got.Streams) != 1 {
			t.Errorf("connection %d: %+v, %v", id, got, ok)
		}
	}
	if _, ok := r.Conn(first.id); ok {
		t.Error("a client was found as a connection")
	}
	r.Remove(first.id)
	r.Remove(server.id)
	if c, s := r.Clients(inspect.Totals), r.Servers(inspect.Totals); len(c) != 1 || len(s) != 0 {
		t.Errorf("after Remove: clients %v, servers %v", c, s)
	}
	runtime.KeepAlive([]*someone{first, server, second})
}

// A nil Registry takes part in nothing.
func TestRegistry_Nil(t *testing.T) {
	s := add(nil, false)
	(*inspect.Registry)(nil).Remove(s.id)
}

// What a program forgets leaves the Registry, and many that come and go leave
// no more behind than live.
func TestRegistry_KeepsNobodyAlive(t *testing.T) {
	r := inspect.NewRegistry()
	kept := add(r, false)
	for range 1000 {
		add(r, false)
	}
	for i := 0; len(r.Clients(inspect.Totals)) > 1; i++ {
		if i == 100 {
			t.Fatalf("%d clients live after %d collections, want 1", len(r.Clients(inspect.Totals)), i)
		}
		runtime.GC()
	}
	if got := r.Clients(inspect.Totals); len(got) != 1 || got[0].ID != kept.id {
		t.Errorf("clients %+v, want the one that is kept", got)
	}
	runtime.KeepAlive(kept)
}
