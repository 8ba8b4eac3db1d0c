package xds

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"google.golang.org/grpc"
	"google.golang.org/grpc/attributes"
)

// pinned is the version of grpc-go whose layout is written down here. Others may have
// the same.
const pinned = "1.85.0"

// rpcInfo, rpcConfig and streamer are types of grpc-go's internal/resolver and
// internal/xds/httpfilter.
type (
	rpcInfo struct {
		Context   context.Context
		Method    string
		Authority string
	}
	rpcConfig struct {
		Context      context.Context
		MethodConfig grpc.MethodConfig //nolint:staticcheck // an alias of an internal type
		OnCommitted  func()
		Interceptor  any
	}
	streamer = func(ctx context.Context, opts ...grpc.CallOption) (grpc.ClientStream, error)
)

// bag is attributes.Attributes.
type bag struct {
	parent     *attributes.Attributes
	key, value any
}

// A selector is found by the type and the value of its key.
const (
	keyPackage = "google.golang.org/grpc/internal/resolver"
	keyName    = "grpc.internal.resolver.configSelector"
)

// errLayout is why attributes cannot be read, or nil.
var errLayout = sameFields(reflect.TypeFor[attributes.Attributes](), reflect.TypeFor[bag]())

// sameFields gives what is different in two structs that ought to be laid out alike.
func sameFields(theirs, ours reflect.Type) error {
	if theirs.NumField() != ours.NumField() {
		return fmt.Errorf("%v has %d fields, not %d", theirs, theirs.NumField(), ours.NumField())
	}
	for i := range ours.NumField() {
		a, b := theirs.Field(i), ours.Field(i)
		if a.Name != b.Name || a.Type != b.Type || a.Offset != b.Offset {
			return fmt.Errorf("the field %d of %v is %s %v, not %s %v", i, theirs, a.Name, a.Type, b.Name, b.Type)
		}
	}
	return nil
}

// find gives the selector among the attributes of a state; nil if there is none.
func find(a *attributes.Attributes) (*selector, error) {
	if errLayout != nil {
		return nil, errLayout
	}
	for a != nil {
		b := (*bag)(unsafe.Pointer(a)) // errLayout
		if key := reflect.ValueOf(b.key); key.Kind() == reflect.String && key.String() == keyName && key.Type().PkgPath() == keyPackage {
			return selectorOf(b.value)
		}
		a = b.parent
	}
	return nil, nil
}

func selectorOf(v any) (*selector, error) {
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer {
		return nil, fmt.Errorf("the ConfigSelector is a %v, not a pointer", t)
	}
	m, ok := t.MethodByName("SelectConfig")
	if !ok {
		return nil, fmt.Errorf("%v has no SelectConfig", t)
	}
	f := m.Type
	if f.NumIn() != 2 || f.NumOut() != 2 || f.Out(1) != reflect.TypeFor[error]() ||
		!f.In(1).ConvertibleTo(reflect.TypeFor[rpcInfo]()) || !f.Out(0).ConvertibleTo(reflect.TypeFor[*rpcConfig]()) {
		return nil, fmt.Errorf("SelectConfig is a %v", f)
	}
	return &selector{
		object: reflect.ValueOf(v).UnsafePointer(),
		method: *(*func(unsafe.Pointer, rpcInfo) (*rpcConfig, error))(function(m)),
	}, nil
}

type newStreamMethod = func(object unsafe.Pointer, ctx context.Context, info rpcInfo, open streamer, opts ...grpc.CallOption) (grpc.ClientStream, error)

// newStreams has the NewStream of each type of interceptors: reflect.Type to
// newStreamMethod.
var newStreams sync.Map

func interceptorOf(v any) (newStreamMethod, error) {
	t := reflect.TypeOf(v)
	if f, ok := newStreams.Load(t); ok {
		return f.(newStreamMethod), nil //nolint:forcetypeassert // as it is stored
	}
	if t.Kind() != reflect.Pointer {
		return nil, fmt.Errorf("the interceptor is a %v, not a pointer", t)
	}
	m, ok := t.MethodByName("NewStream")
	if !ok {
		return nil, fmt.Errorf("%v has no NewStream", t)
	}
	f, ours := m.Type, reflect.TypeFor[newStreamMethod]()
	same := f.NumIn() == ours.NumIn() && f.NumOut() == ours.NumOut() && f.IsVariadic() && f.In(2).ConvertibleTo(ours.In(2))
	for i := 1; same && i < ours.NumIn(); i++ {
		same = i == 2 || f.In(i) == ours.In(i)
	}
	for i := 0; same && i < ours.NumOut(); i++ {
		same = f.Out(i) == ours.Out(i)
	}
	if !same {
		return nil, fmt.Errorf("NewStream is a %v", f)
	}
	newStream := *(*newStreamMethod)(function(m))
	newStreams.Store(t, newStream)
	return newStream, nil
}

// function gives where a method is kept as a function whose first argument is the
// object. Whoever calls it by another type has seen that all arguments and results
// are laid out alike: types that convert to each other are.
func function(m reflect.Method) unsafe.Pointer {
	kept := reflect.New(m.Func.Type())
	kept.Elem().Set(m.Func)
	return kept.UnsafePointer()
}

// idle reports whether an interceptor is a list of none, which most routes have.
func idle(v any) bool {
	e := reflect.ValueOf(v)
	if e.Kind() != reflect.Pointer || e.Elem().Kind() != reflect.Struct {
		return false
	}
	list := e.Elem().FieldByName("interceptors")
	return list.IsValid() && list.Kind() == reflect.Slice && list.Len() == 0
}
