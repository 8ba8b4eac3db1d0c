package weir

import (
	"context"
	"reflect"
	"strings"
	"unsafe"

	"google.golang.org/grpc/metadata"
)

// outgoingMetadata gives the metadata that a context carries for its calls, as
// metadata.FromOutgoingContext does, and whether there is any. What it gives is
// the caller's own if own is set, and else to be read only, as long as the call
// is under way.
func outgoingMetadata(ctx context.Context, own bool) (metadata.MD, bool) {
	if outgoingKey == nil {
		return metadata.FromOutgoingContext(ctx)
	}
	v := ctx.Value(outgoingKey)
	if v == nil {
		return nil, false
	}
	raw := outgoingOf(v)
	if !own && len(raw.added) == 0 && lowercase(raw.md) {
		return raw.md, true
	}
	keys := len(raw.md)
	for _, kvs := range raw.added {
		keys += len(kvs) / 2
	}
	to := newMetadataCopy(keys)
	for k, vs := range raw.md {
		to.add(strings.ToLower(k), vs)
	}
	for _, kvs := range raw.added {
		for i := 1; i < len(kvs); i += 2 {
			to.add(strings.ToLower(kvs[i-1]), kvs[i:i+1])
		}
	}
	return to.md, true
}

func lowercase(md metadata.MD) bool {
	for k := range md {
		for i := range len(k) {
			if c := k[i]; 'A' <= c && c <= 'Z' || c >= 0x80 {
				return false
			}
		}
	}
	return true
}

// copyMetadata is md.Copy, with one allocation for all values if each key has one.
func copyMetadata(md metadata.MD) metadata.MD {
	to := newMetadataCopy(len(md))
	for k, vs := range md {
		to.put(k, vs)
	}
	return to.md
}

// metadataCopy is a copy of metadata whose values lie behind each other. Where there
// are more than one to a key they may be in several pieces: to count them first
// takes as long as to copy them.
type metadataCopy struct {
	md     metadata.MD
	values []string
}

func newMetadataCopy(keys int) metadataCopy {
	return metadataCopy{make(metadata.MD, keys), make([]string, 0, keys)}
}

// add is put for a key that may be there.
func (c *metadataCopy) add(k string, vs []string) {
	if has := c.md[k]; len(has) > 0 {
		c.md[k] = append(has, vs...) // which moves it away from the others
		return
	}
	c.put(k, vs)
}

func (c *metadataCopy) put(k string, vs []string) {
	from := len(c.values)
	c.values = append(c.values, vs...)
	c.md[k] = c.values[from:len(c.values):len(c.values)]
}

// outgoing is what a context carries, as package metadata keeps it.
type outgoing struct {
	md    metadata.MD
	added [][]string
}

// outgoingOf gives the value of outgoingKey, which is no pointer: the interface
// holds its address.
func outgoingOf(v any) *outgoing {
	return (*outgoing)((*[2]unsafe.Pointer)(unsafe.Pointer(&v))[1])
}

// outgoingKey is the key under which package metadata keeps them, or nil if
// they are not kept as we know it: then its getter copies everything, twice.
var outgoingKey = func() any {
	var spy spyContext
	metadata.FromOutgoingContext(&spy)
	ctx := metadata.NewOutgoingContext(context.Background(), metadata.MD{"a": {"1", "2"}})
	v := metadata.AppendToOutgoingContext(ctx, "b", "3").Value(spy.key)
	if v == nil {
		return nil
	}
	kept, known := reflect.TypeOf(v), reflect.TypeFor[outgoing]()
	if kept.Kind() != reflect.Struct || kept.NumField() != known.NumField() || kept.Size() != known.Size() {
		return nil
	}
	for i := range known.NumField() {
		if kept.Field(i).Type != known.Field(i).Type || kept.Field(i).Offset != known.Field(i).Offset {
			return nil
		}
	}
	o := outgoingOf(v)
	if !reflect.DeepEqual(*o, outgoing{metadata.MD{"a": {"1", "2"}}, [][]string{{"b", "3"}}}) {
		return nil
	}
	return spy.key
}()
