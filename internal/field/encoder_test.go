package field

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

func TestInsertOnSecondSight(t *testing.T) {
	var e Encoder
	f := Field{Name: "x-tenant", Value: "blue"}
	first := e.AppendField(nil, f, IndexAuto)
	second := e.AppendField(nil, f, IndexAuto)
	third := e.AppendField(nil, f, IndexAuto)
	if want := appendLiteral(nil, 0, 4, 0, f); !bytes.Equal(first, want) {
		t.Errorf("first: % x, want a literal without indexing", first)
	}
	if want := appendLiteral(nil, insertBit, 6, 0, f); !bytes.Equal(second, want) {
		t.Errorf("second: % x, want a literal with indexing", second)
	}
	if want := []byte{0xbe}; !bytes.Equal(third, want) {
		t.Errorf("third: % x, want index 62", third)
	}
}

func TestPerCallValuesAreNotInserted(t *testing.T) {
	var e Encoder
	for i := range 10 {
		f := Field{Name: "grpc-timeout", Value: "1S"}
		if got, want := e.AppendField(nil, f, IndexNever), appendLiteral(nil, 0, 4, 0, f); !bytes.Equal(got, want) {
			t.Errorf("call %d: % x, want % x", i, got, want)
		}
	}
	if len(e.entries) != 0 {
		t.Errorf("table has %v, want nothing", e.newest())
	}
	if got := e.AppendField(nil, Field{Name: ":status", Value: "200"}, IndexNever); !bytes.Equal(got, []byte{0x88}) {
		t.Errorf("static entry: % x, want its index", got)
	}
}

// "never-indexed" holds whatever the tables have.
// https://www.rfc-editor.org/rfc/rfc7541#section-7.1.3
// A field of which the name is indexed is spelt out twice, and from then on takes
// three octets more than its value. Where there is no table it is a plain literal.
func TestNameIsInserted(t *testing.T) {
	for _, size := range []uint32{4096, 0} {
		var e Encoder
		e.SetMaxTableSize(size)
		peer := newForeign(size)
		for i := range 100 {
			f := Field{Name: "grpc-timeout", Value: fmt.Sprintf("%dm", 1000+i)}
			block := e.AppendField(e.Begin(nil), f, IndexName)
			if got, err := peer.decode(block); err != nil || !slices.Equal(got, []Field{f}) {
				t.Fatalf("table of %d, field %d: read %v, %v", size, i, got, err)
			}
			if i > 1 && size > 0 && len(block) != 3+len(f.Value) {
				t.Errorf("field %d takes %d octets: % x", i, len(block), block)
			}
		}
		if want := min(size, 1); len(e.entries) != int(want) {
			t.Errorf("table of %d: %d entries, want %d", size, len(e.entries), want)
		}
	}
}

func TestSensitiveFieldsAreNeverIndexed(t *testing.T) {
	for _, f := range []Field{
		{Name: "authorization", Value: "Bearer abc"},
		{Name: "x-secret", Value: "42"},
		{Name: ":path", Value: "/"},
	} {
		var e Encoder
		for range 3 {
			e.AppendField(nil, f, IndexAuto) // the same, not marked: now in the table
		}
		f.Sensitive = true
		for range 3 {
			before := e.version
			block := e.AppendField(nil, f, IndexAuto)
			if block[0]&0xf0 != neverIndexBit || e.version != before {
				t.Errorf("%s: % x, want a never-indexed literal", f.Name, block)
			}
			peer := newForeign(4096)
			peer.decode(appendLiteral(nil, insertBit, 6, 0, Field{Name: f.Name, Value: "Bearer abc"}))
			if got, err := peer.decode(block); err != nil || len(got) != 1 || got[0] != f {
				t.Errorf("read %v, %v; want %v", got, err, f)
			}
		}
	}
}

func TestInsertNeverEvicts(t *testing.T) {
	var e Encoder
	e.SetMaxTableSize(300)
	peer := newForeign(300)
	var want []Field
	for i := range 50 {
		f := entryOf(i, 100)
		for range 3 {
			block := e.AppendField(e.Begin(nil), f, IndexAuto)
			if got, err := peer.decode(block); err != nil || !slices.Equal(got, []Field{f}) {
				t.Fatalf("field %d: read %v, %v", i, got, err)
			}
		}
		if len(want) < 3 {
			want = slices.Insert(want, 0, f)
		}
		if got := e.newest(); !slices.Equal(got, want) {
			t.Fatalf("field %d: table %v, want %v", i, got, want)
		}
	}
	peer.wantTable(t, want)
}

// What was seen is remembered in bounded room: fields that do not recur soon
// are not inserted, and those of one call are, however many calls differ.
func TestSightIsBounded(t *testing.T) {
	var e Encoder
	for round := range 2 {
		for i := range 10_000 {
			e.AppendField(nil, Field{Name: "x-id", Value: fmt.Sprint(round, i)}, IndexAuto)
		}
	}
	strangers := len(e.entries)
	// 15 bits of hash, 64 remembered: one in 512 looks familiar, until the table is full.
	if strangers > 110 {
		t.Errorf("%d of 20000 fields that never recurred are in the table", strangers)
	}
	var f Encoder
	for i := range 50 {
		f.AppendField(nil, Field{Name: "x-id", Value: fmt.Sprint(i)}, IndexAuto)
		f.AppendField(nil, Field{Name: "x-tenant", Value: "blue"}, IndexAuto)
	}
	if i, equal := f.find(hashed("x-tenant", "blue")); !equal {
		t.Errorf("x-tenant is not in the table: %d", i)
	}
}

func hashed(name, value string) (Field, uint32, uint32) {
	f := Field{Name: name, Value: value}
	n, b := hash(f)
	return f, n, b
}

// The table has its own strings: a field may point into a large buffer.
func TestTableCopiesStrings(t *testing.T) {
	var e Encoder
	large := strings.Repeat("x", 1<<20)
	for range 2 {
		e.AppendField(nil, Field{Name: large[:6], Value: large[:10]}, IndexAuto)
	}
	got := e.newest()[0]
	if got.Name != large[:6] || got.Value != large[:10] {
		t.Errorf("table has %v", got)
	}
	if unsafe.StringData(got.Name) == unsafe.StringData(large) || unsafe.StringData(got.Value) == unsafe.StringData(large) {
		t.Error("the table holds on to the caller's buffer")
	}
}

func TestNameByIndex(t *testing.T) {
	var e Encoder
	for range 2 {
		e.AppendField(nil, Field{Name: "x-tenant", Value: "blue"}, IndexAuto)
	}
	green := Field{Name: "x-tenant", Value: "green"}
	if got, want := e.AppendField(nil, green, IndexAuto), appendLiteral(nil, 0, 4, 62, green); !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
	path := Field{Name: ":path", Value: "/weir.Shop/Buy"}
	if got, want := e.AppendField(nil, path, IndexNever), appendLiteral(nil, 0, 4, 4, path); !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
}
