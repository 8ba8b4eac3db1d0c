package weir

import (
	"reflect"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/channelz"
)

// channelzParent is what balancers name in the events that they tell grpc-go's
// channelz: a channel which that does not know, so that it drops them. There has
// to be one: outlier_detection ends the process without one, if channelz is on.
//
// An Identifier cannot be made outside grpc-go, whose ClientConn has one. The
// zero value of that type has the id 0, and those of channels begin with 1. It is
// nil if no field of ClientConn is of such a type.
var channelzParent = sync.OnceValue(func() channelz.Identifier {
	for f := range reflect.TypeFor[grpc.ClientConn]().Fields() {
		if f.Type.Kind() != reflect.Pointer {
			continue
		}
		if id, ok := reflect.TypeAssert[channelz.Identifier](reflect.New(f.Type.Elem())); ok {
			return id
		}
	}
	return nil
})
