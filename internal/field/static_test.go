package field

import (
	"testing"

	"golang.org/x/net/http2/hpack"
)

// A foreign decoder's static table is ours, entry by entry.
func TestStaticTableIsTheRFCs(t *testing.T) {
	peer := hpack.NewDecoder(0, nil)
	for i := 1; i <= staticLen; i++ {
		fs, err := peer.DecodeFull([]byte{indexedBit | byte(i)})
		if err != nil || len(fs) != 1 {
			t.Fatalf("index %d: %v, %v", i, fs, err)
		}
		if got := staticTable[i]; got.Name != fs[0].Name || got.Value != fs[0].Value {
			t.Errorf("index %d: %v, want %v", i, got, fs[0])
		}
	}
	if staticTable[0] != (Field{}) {
		t.Errorf("index 0 stands for %v, want nothing", staticTable[0])
	}
}

func TestStaticIndex(t *testing.T) {
	for i, f := range staticTable[1:] {
		if got, equal := staticIndex(f.Name, f.Value); got != uint32(i+1) || !equal {
			t.Errorf("%v: index %d, %v; want %d", f, got, equal, i+1)
		}
	}
	for _, tt := range []struct {
		name, value string
		want        uint32
	}{
		{":status", "418", 8},
		{":path", "/weir.Shop/Buy", 4},
		{"www-authenticate", "Basic", 61},
		{"grpc-status", "0", 0},
		{"", "", 0},
	} {
		if got, equal := staticIndex(tt.name, tt.value); got != tt.want || equal {
			t.Errorf("%s: %s: index %d, equal %v; want %d, not equal", tt.name, tt.value, got, equal, tt.want)
		}
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	name := []byte("grpc-timeout")
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := knownName(name); !ok {
			t.Fatal("grpc-timeout is not known")
		}
		if i, _ := staticIndex(":path", "/weir.Shop/Buy"); i != 4 {
			t.Fatal("no index for :path")
		}
	}); n != 0 {
		t.Errorf("%v allocations a lookup, want none", n)
	}
}
