package xds

import (
	"context"
	"reflect"
	"unsafe"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// selector is a ConfigSelector of grpc-go's.
type selector struct {
	object unsafe.Pointer
	method func(object unsafe.Pointer, info rpcInfo) (*rpcConfig, error)
}

// SelectConfig is weir.ConfigSelector's.
func (s *selector) SelectConfig(info weir.RPCInfo) (*weir.RPCConfig, error) {
	theirs := rpcInfo(info)
	said, err := s.method(s.object, theirs)
	if err != nil || said == nil {
		return nil, err
	}
	config := &weir.RPCConfig{Context: said.Context, OnCommitted: said.OnCommitted}
	if mc := &said.MethodConfig; mc.Timeout != nil || mc.RetryPolicy != nil || mc.WaitForReady != nil || mc.MaxReqSize != nil || mc.MaxRespSize != nil {
		config.MethodConfig = mc
	}
	if said.Interceptor == nil || idle(said.Interceptor) {
		return config, nil
	}
	newStream, err := interceptorOf(said.Interceptor)
	if err != nil {
		if config.OnCommitted != nil {
			config.OnCommitted()
		}
		return nil, unreadable{err}.status()
	}
	object := reflect.ValueOf(said.Interceptor).UnsafePointer()
	theirs.Context = nil // as grpc-go does
	config.Interceptor = func(ctx context.Context, open streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		return newStream(object, ctx, theirs, open, opts...)
	}
	return config, nil
}

// unreadable is in the place of a selector whose form is not known.
type unreadable struct{ err error }

func (u unreadable) status() error {
	return status.Errorf(codes.Unimplemented, "weir/xds is for grpc-go %s, and this program has %s, in which it does not find its way: use the release of weir/xds that was made for it (%v)", pinned, grpc.Version, u.err)
}

// SelectConfig is weir.ConfigSelector's.
func (u unreadable) SelectConfig(weir.RPCInfo) (*weir.RPCConfig, error) { return nil, u.status() }
