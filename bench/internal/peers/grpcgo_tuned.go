package peers

import (
	"google.golang.org/grpc"
)

// The options of grpc-go that cost or save something here, each alone. They
// are measured only when named, to see which belong into grpc-go-tuned. Shared
// write buffers are its default.
var grpcVariants = []grpcVariant{
	{
		name: "grpc-go+workers",
		srv:  []grpc.ServerOption{grpc.NumStreamWorkers(tunedWorkers)},
	},
	{
		name: "grpc-go+buffers",
		dial: []grpc.DialOption{grpc.WithWriteBufferSize(tunedBuffer), grpc.WithReadBufferSize(tunedBuffer)},
		srv:  []grpc.ServerOption{grpc.WriteBufferSize(tunedBuffer), grpc.ReadBufferSize(tunedBuffer)},
	},
	{
		name: "grpc-go+windows",
		dial: []grpc.DialOption{grpc.WithInitialWindowSize(tunedWindow), grpc.WithInitialConnWindowSize(2 * tunedWindow)},
		srv:  []grpc.ServerOption{grpc.InitialWindowSize(tunedWindow), grpc.InitialConnWindowSize(2 * tunedWindow)},
	},
}

const (
	tunedWorkers = 4
	tunedBuffer  = 128 << 10
	tunedWindow  = 8 << 20
)

// grpcTuned has all of them.
func grpcTuned() grpcVariant {
	v := grpcVariant{name: "grpc-go-tuned"}
	for _, one := range grpcVariants {
		v.dial = append(v.dial, one.dial...)
		v.srv = append(v.srv, one.srv...)
	}
	return v
}
