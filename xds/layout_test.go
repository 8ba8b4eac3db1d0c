package xds

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"
)

// A new version of grpc-go is looked at before it is written down here: the selector,
// when it is asked, what its answers mean (stream.go, newClientStream) and how its
// states are made (internal/xds/resolver).
func TestPinned(t *testing.T) {
	if grpc.Version != pinned {
		t.Errorf("grpc-go is %s, and %s was looked at: see layout.go", grpc.Version, pinned)
	}
	if errLayout != nil {
		t.Error(errLayout)
	}
}

func TestSameFields(t *testing.T) {
	type ours = struct {
		A *bag
		B any
	}
	for _, tt := range []struct {
		theirs reflect.Type
		word   string
	}{
		{reflect.TypeFor[ours](), ""},
		{reflect.TypeFor[struct{ B, A any }](), "the field 0 of"},
		{reflect.TypeFor[struct{ A *bag }](), "has 1 fields, not 2"},
		{reflect.TypeFor[struct{ A, B *bag }](), "the field 1 of"},
	} {
		err := sameFields(tt.theirs, reflect.TypeFor[ours]())
		if tt.word == "" && err != nil || tt.word != "" && (err == nil || !strings.Contains(err.Error(), tt.word)) {
			t.Errorf("%v: %v, want %q", tt.theirs, err, tt.word)
		}
	}
}

// What other resolvers put into the attributes of a state is passed over.
func TestFind_Others(t *testing.T) {
	type key string
	for _, a := range []*attributes.Attributes{nil, attributes.New("a", 1), attributes.New(key(keyName), 1).WithValue(7, nil).WithValue(keyName, 2)} {
		if cs, err := find(a); cs != nil || err != nil {
			t.Errorf("%v: %v, %v", a, cs, err)
		}
	}
}

// Types of another package with the form of grpc-go's.
type (
	theirInfo struct {
		Context   context.Context
		Method    string
		Authority string
	}
	theirConfig struct {
		Context      context.Context
		MethodConfig grpc.MethodConfig //nolint:staticcheck // an alias of an internal type
		OnCommitted  func()
		Interceptor  any
	}
	moreInfo struct {
		theirInfo
		More int
	}
	theirs struct {
		answer func(theirInfo) (*theirConfig, error)
	}
	newer    struct{}
	byValue  struct{}
	nameless struct{}
	chain    struct {
		interceptors []string
		asked        *theirInfo
	}
	newChain struct{}
)

func (s *theirs) SelectConfig(i theirInfo) (*theirConfig, error) { return s.answer(i) }
func (*newer) SelectConfig(moreInfo) (*theirConfig, error)       { return nil, nil }
func (byValue) SelectConfig(theirInfo) (*theirConfig, error)     { return nil, nil }

func (c *chain) NewStream(ctx context.Context, i theirInfo, open func(context.Context, ...grpc.CallOption) (grpc.ClientStream, error), opts ...grpc.CallOption) (grpc.ClientStream, error) {
	*c.asked = i
	return open(ctx, append(opts, grpc.CallAuthority("seen"))...)
}

func (*newChain) NewStream(context.Context, moreInfo, func(context.Context, ...grpc.CallOption) (grpc.ClientStream, error), ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, nil
}

func TestSelectorOf(t *testing.T) {
	for name, v := range map[string]any{"newer": new(newer), "by value": byValue{}, "without a method": new(nameless), "nothing": nil} {
		if s, err := selectorOf(v); err == nil {
			t.Errorf("%s: %v", name, s)
		}
	}
	var heard theirInfo
	said, fails := &theirConfig{}, error(nil)
	s, err := selectorOf(&theirs{func(i theirInfo) (*theirConfig, error) {
		heard = i
		return said, fails
	}})
	if err != nil {
		t.Fatal(err)
	}
	info := weir.RPCInfo{Context: t.Context(), Method: "/a/b", Authority: "c"}
	config, err := s.SelectConfig(info)
	if err != nil || config == nil || config.MethodConfig != nil || config.Interceptor != nil {
		t.Errorf("nothing in particular: %+v, %v", config, err)
	}
	if heard != theirInfo(info) {
		t.Errorf("the selector hears %+v", heard)
	}

	fails = errors.New("no")
	if _, err := s.SelectConfig(info); err != fails {
		t.Errorf("an error becomes %v", err)
	}
	said, fails = nil, nil
	if config, err := s.SelectConfig(info); config != nil || err != nil {
		t.Errorf("nothing becomes %+v, %v", config, err)
	}
	ready, committed := true, 0
	said = &theirConfig{Context: metadata.AppendToOutgoingContext(t.Context(), "k", "v"), OnCommitted: func() { committed++ }, Interceptor: &chain{}}
	said.MethodConfig.WaitForReady = &ready
	config, err = s.SelectConfig(info)
	if err != nil || config.Context != said.Context || config.MethodConfig.WaitForReady != &ready || config.Interceptor != nil {
		t.Errorf("the selector says %+v, which becomes %+v, %v", said, config, err)
	}
	said.Interceptor = new(newChain)
	if config, err = s.SelectConfig(info); status.Code(err) != codes.Unimplemented || committed != 1 {
		t.Errorf("an interceptor of another form: %+v, %v; committed %d times", config, err, committed)
	}
}

func TestInterceptor(t *testing.T) {
	var heard theirInfo
	s, err := selectorOf(&theirs{func(theirInfo) (*theirConfig, error) {
		return &theirConfig{Interceptor: &chain{[]string{"one"}, &heard}}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		config, err := s.SelectConfig(weir.RPCInfo{Context: t.Context(), Method: "/a/b", Authority: "c"})
		if err != nil || config.Interceptor == nil {
			t.Fatalf("%+v, %v", config, err)
		}
		opened, fails := 0, errors.New("no stream")
		_, err = config.Interceptor(t.Context(), func(_ context.Context, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			opened = len(opts)
			return nil, fails
		}, grpc.WaitForReady(true))
		if err != fails || opened != 2 {
			t.Errorf("opened with %d options, %v", opened, err)
		}
		if want := (theirInfo{Method: "/a/b", Authority: "c"}); heard != want {
			t.Errorf("the interceptor hears %+v", heard)
		}
	}
}

// taker is a resolver.ClientConn.
type taker struct {
	resolver.ClientConn
	got resolver.State
}

func (c *taker) UpdateState(s resolver.State) error {
	c.got = s
	return nil
}

// A layout that is not known is said by each call.
func TestUnreadable(t *testing.T) {
	defer func(was error) { errLayout = was }(errLayout)
	errLayout = errors.New("it is another")
	var to taker
	if err := (&clientConn{&to}).UpdateState(resolver.State{}); err != nil {
		t.Fatal(err)
	}
	if to.got.Attributes == nil {
		t.Fatal("the state has no selector")
	}
	_, err := unreadable{errLayout}.SelectConfig(weir.RPCInfo{})
	if s := status.Convert(err); s.Code() != codes.Unimplemented || !strings.Contains(s.Message(), "it is another") || !strings.Contains(s.Message(), pinned) {
		t.Error(err)
	}
}
