package weir

import (
	"reflect"
	"slices"
	"strings"

	"github.com/weir-rpc/weir/internal/grpcwire"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
)

// applyOther reads an option that is not one of grpc-go's exported structs
// itself.
func (ci *callInfo) applyOther(o grpc.CallOption) error {
	v := reflect.ValueOf(o)
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
		if inner, ok := reflect.TypeAssert[grpc.CallOption](v); ok && isOwn(v.Type()) {
			return ci.applyOne(inner)
		}
	}
	return ci.applyType(v)
}

// applyType reads an option whose type grpc-go keeps for itself, or is a user's.
func (ci *callInfo) applyType(v reflect.Value) error {
	if names, ok := acceptedCompressors(v); ok {
		return ci.acceptOnly(names)
	}
	if isOwn(v.Type()) {
		return status.Errorf(codes.Internal, "weir does not support the call option %s", v.Type())
	}
	return ci.applyEmbedded(v)
}

// applyEmbedded reads the option that a type of the user's gets its methods
// from.
func (ci *callInfo) applyEmbedded(v reflect.Value) error {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case !f.Anonymous:
		case !f.IsExported():
			// The field is out of reach, but those that it promotes are not.
			if err := ci.applyEmbedded(v.Field(i)); err != nil {
				return err
			}
		default:
			if inner, ok := reflect.TypeAssert[grpc.CallOption](v.Field(i)); ok && inner != nil {
				if err := ci.applyOne(inner); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// isOwn reports whether a type is one of grpc-go's own.
func isOwn(t reflect.Type) bool {
	return t.PkgPath() == "google.golang.org/grpc" || strings.HasPrefix(t.PkgPath(), "google.golang.org/grpc/")
}

// acceptedCompressors reads an experimental.AcceptCompressors, whose type
// grpc-go keeps for itself. If that changes it is an option that weir does not
// support.
func acceptedCompressors(v reflect.Value) (names []string, ok bool) {
	t := v.Type()
	if !isOwn(t) || t.Name() != "acceptCompressorsCallOption" || t.Kind() != reflect.Struct || t.NumField() != 1 ||
		t.Field(0).Type != reflect.TypeFor[[]string]() {
		return nil, false
	}
	f := v.Field(0)
	for i := range f.Len() {
		names = append(names, f.Index(i).String())
	}
	return names, true
}

// acceptOnly refuses answers that are compressed otherwise. No names, and those
// that mean no compression, refuse nothing, as in grpc-go.
func (ci *callInfo) acceptOnly(names []string) error {
	ci.accept = nil
	list := new(acceptList)
	for _, name := range names {
		name = strings.TrimSpace(name)
		if name == "" || name == encoding.Identity {
			continue
		}
		if grpcwire.Lookup(name) == nil {
			return status.Errorf(codes.InvalidArgument, "experimental.AcceptCompressors: the client has no compressor %q (%s)", name, compressorHint(name))
		}
		list.names = append(list.names, name)
	}
	if len(list.names) > 0 {
		list.field = strings.Join(list.names, ",")
		ci.accept = list
	}
	return nil
}

// accepts says what is wrong with an answer that is compressed with name.
func (ci *callInfo) accepts(name string) error {
	if ci.accept == nil || slices.Contains(ci.accept.names, name) {
		return nil
	}
	return status.Errorf(codes.Internal, "the server compressed its answer with %q, which is not among what WithAcceptCompressors or experimental.AcceptCompressors lists: %q", name, ci.accept.names)
}
