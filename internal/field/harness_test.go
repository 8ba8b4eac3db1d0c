package field

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// unhex reads octets written as in RFC 7541: pairs of digits with spaces.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatalf("vector %q: %v", s, err)
	}
	return b
}

// list makes fields of "name: value" lines.
func list(lines ...string) []Field {
	var fs []Field
	for _, line := range lines {
		at := 1 + strings.Index(line[1:], ":")
		fs = append(fs, Field{Name: line[:at], Value: strings.TrimPrefix(line[at+1:], " ")})
	}
	return fs
}

func collect(l *List) []Field { return slices.Collect(l.All) }

// newest gives a decoder's table in the order of its indices.
func (t *table) newest() []Field {
	var fs []Field
	for i := uint64(1); i <= t.count; i++ {
		fs = append(fs, t.entry(t.inserted-i))
	}
	return fs
}

// newest gives the encoder's table in the order of its indices.
func (e *Encoder) newest() []Field {
	var fs []Field
	for _, en := range slices.Backward(e.entries) {
		fs = append(fs, en.field)
	}
	return fs
}

// A foreign is x/net's decoder, which judges ours and reads our encoder's blocks.
type foreign struct {
	dec    *hpack.Decoder
	fields []Field
}

func newForeign(limit uint32) *foreign {
	p := &foreign{}
	p.dec = hpack.NewDecoder(defaultTableSize, func(f hpack.HeaderField) {
		p.fields = append(p.fields, Field{f.Name, f.Value, f.Sensitive})
	})
	p.dec.SetAllowedMaxDynamicTableSize(limit)
	return p
}

func (p *foreign) decode(block []byte) ([]Field, error) {
	p.fields = nil
	if _, err := p.dec.Write(block); err != nil {
		return nil, err
	}
	if err := p.dec.Close(); err != nil {
		return nil, err
	}
	return p.fields, nil
}

// wantTable fails unless x/net's table begins with the entries given. It asks
// by indexed fields, which change nothing.
func (p *foreign) wantTable(t testing.TB, want []Field) {
	t.Helper()
	var block []byte
	for i := range want {
		block = appendInteger(block, indexedBit, 7, uint64(staticLen+1+i))
	}
	got, err := p.decode(block)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("tables differ:\nx/net %v, %v\nours  %v", got, err, want)
	}
}

// foreignBlocks encodes each list as a block by x/net's encoder.
func foreignBlocks(t testing.TB, lists ...[]Field) [][]byte {
	t.Helper()
	var buf bytes.Buffer
	enc := hpack.NewEncoder(&buf)
	var blocks [][]byte
	for _, fs := range lists {
		buf.Reset()
		for _, f := range fs {
			if err := enc.WriteField(hpack.HeaderField{Name: f.Name, Value: f.Value, Sensitive: f.Sensitive}); err != nil {
				t.Fatal(err)
			}
		}
		blocks = append(blocks, bytes.Clone(buf.Bytes()))
	}
	return blocks
}

// request is what grpc-go's client sends, with its order.
func request(method, timeout string, more ...string) []Field {
	fs := list(":method: POST", ":scheme: http", ":path: "+method, ":authority: shop.example:50051",
		"content-type: application/grpc", "user-agent: grpc-go/1.85.0", "te: trailers", "grpc-accept-encoding: gzip")
	if timeout != "" {
		fs = append(fs, Field{Name: "grpc-timeout", Value: timeout})
	}
	return append(fs, list(more...)...)
}
