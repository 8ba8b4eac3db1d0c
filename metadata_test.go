package weir

import (
	"context"
	"reflect"
	"testing"

	"google.golang.org/grpc/metadata"
)

func TestOutgoingMetadata(t *testing.T) {
	if outgoingKey == nil {
		t.Fatal("package metadata keeps what a context carries in another way than we know: each call copies it twice")
	}
	type md = metadata.MD
	bg := context.Background()
	for name, ctx := range map[string]context.Context{
		"nothing":          bg,
		"empty":            metadata.NewOutgoingContext(bg, md{}),
		"nil":              metadata.NewOutgoingContext(bg, nil),
		"keys":             metadata.NewOutgoingContext(bg, md{"a": {"1", "2"}, "b": {"3"}, "c": {}}),
		"upper case":       metadata.NewOutgoingContext(bg, md{"A": {"1"}, "b": {"2"}}),
		"added":            metadata.AppendToOutgoingContext(bg, "a", "1", "b", "2", "a", "3"),
		"added upper case": metadata.AppendToOutgoingContext(bg, "A", "1", "a", "2"),
		"added twice":      metadata.AppendToOutgoingContext(metadata.AppendToOutgoingContext(bg, "a", "1"), "a", "2", "b", "3"),
		"added to keys":    metadata.AppendToOutgoingContext(metadata.NewOutgoingContext(bg, md{"a": {"1", "2"}, "b": {"3"}}), "a", "4", "c", "5", "b", "6"),
	} {
		want, wantOK := metadata.FromOutgoingContext(ctx)
		for _, own := range []bool{false, true} {
			got, ok := outgoingMetadata(ctx, own)
			if ok != wantOK || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(normal(got), normal(want)) {
				t.Errorf("%s, own %v: %v, %v; want %v, %v", name, own, got, ok, want, wantOK)
			}
		}
	}
}

// normal gives md with nil for each key without values.
func normal(md metadata.MD) metadata.MD {
	c := metadata.MD{}
	for k, vs := range md {
		c[k] = append([]string(nil), vs...)
	}
	return c
}

// What is the caller's own may be changed without harm to others: neither the
// values of another key nor what the context carries.
func TestOutgoingMetadataOwn(t *testing.T) {
	kept := metadata.MD{"a": {"1"}, "b": {"2"}}
	ctx := metadata.NewOutgoingContext(context.Background(), kept)
	own, _ := outgoingMetadata(ctx, true)
	own["a"] = append(own["a"], "x")
	own["b"][0] = "y"
	own["c"] = []string{"z"}
	copied := copyMetadata(kept)
	copied["a"] = append(copied["a"], "x")
	copied["b"] = append(copied["b"], "y")
	if want := (metadata.MD{"a": {"1"}, "b": {"2"}}); !reflect.DeepEqual(kept, want) {
		t.Errorf("the context carries %v after changes to a copy, want %v", kept, want)
	}
	if want := (metadata.MD{"a": {"1", "x"}, "b": {"2", "y"}}); !reflect.DeepEqual(copied, want) {
		t.Errorf("a copy with a value added to each key is %v, want %v", copied, want)
	}
}
