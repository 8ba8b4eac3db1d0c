package balance

import (
	"sync/atomic"

	"google.golang.org/grpc/metadata"
)

// loads reads the load of a server; nil if nobody does.
var loads atomic.Pointer[func(trailer metadata.MD) any]

// ReadLoads sets what reads the load report of a server out of trailers, for
// balancers: package orca, whose protobuf is no requirement of this one. It gives
// nil if there is none.
func ReadLoads(f func(trailer metadata.MD) any) { loads.Store(&f) }

// Load gives the load report that is in trailers, or nil.
func Load(trailer metadata.MD) any {
	if f := loads.Load(); f != nil {
		return (*f)(trailer)
	}
	return nil
}
