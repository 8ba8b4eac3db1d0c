package field

import (
	"bytes"
	"fmt"
	"testing"

	"golang.org/x/net/http2/hpack"
)

func BenchmarkEncode(b *testing.B) {
	fs := request("/weir.Shop/Buy", "")
	buf := make([]byte, 0, 1024)
	timeout := Field{Name: "grpc-timeout", Value: "999984u"}
	b.Run("block", func(b *testing.B) {
		b.ReportAllocs()
		var e Encoder
		var block Block
		for b.Loop() {
			if dst, ok := e.Replay(e.Begin(buf), &block); !ok {
				e.AppendBlock(dst, &block, fs...)
			}
		}
	})
	b.Run("block and timeout", func(b *testing.B) {
		b.ReportAllocs()
		var e Encoder
		var block Block
		for b.Loop() {
			dst, ok := e.Replay(e.Begin(buf), &block)
			if !ok {
				dst = e.AppendBlock(dst, &block, fs...)
			}
			e.AppendField(dst, timeout, IndexNever)
		}
	})
	b.Run("fields", func(b *testing.B) {
		b.ReportAllocs()
		var e Encoder
		for b.Loop() {
			dst := e.Begin(buf)
			for _, f := range fs {
				dst = e.AppendField(dst, f, IndexAuto)
			}
		}
	})
	b.Run("xnet", func(b *testing.B) {
		b.ReportAllocs()
		var out bytes.Buffer
		enc := hpack.NewEncoder(&out)
		for b.Loop() {
			out.Reset()
			for _, f := range fs {
				enc.WriteField(hpack.HeaderField{Name: f.Name, Value: f.Value})
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	same := foreignBlocks(b, request("/weir.Shop/Buy", ""), request("/weir.Shop/Buy", ""))
	var lists [][]Field
	for i := range 2000 {
		lists = append(lists, request("/weir.Shop/Buy", fmt.Sprintf("%du", 999_999-i)))
	}
	timeouts := foreignBlocks(b, lists...)
	trailers := foreignBlocks(b, list("grpc-status: 0"), list("grpc-status: 0"))
	for _, tt := range []struct {
		name   string
		blocks [][]byte
	}{{"same", same[1:]}, {"timeouts inserted", timeouts[1:]}, {"run of one", trailers[1:]}} {
		first := map[string][]byte{"same": same[0], "timeouts inserted": timeouts[0], "run of one": trailers[0]}[tt.name]
		for _, plain := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/plain=%v", tt.name, plain), func(b *testing.B) {
				b.ReportAllocs()
				var d Decoder
				var l List
				i := len(tt.blocks)
				for b.Loop() {
					if i == len(tt.blocks) && (i > 1 || d.table.max == 0) {
						d.Init(defaultTableSize, 0)
						d.plain = plain
						d.Decode(first, &l)
					}
					if i == len(tt.blocks) {
						i = 0
					}
					if err := d.Decode(tt.blocks[i], &l); err != nil {
						b.Fatal(err)
					}
					i++
				}
			})
		}
		b.Run(tt.name+"/xnet", func(b *testing.B) {
			b.ReportAllocs()
			var d *hpack.Decoder
			var fs []hpack.HeaderField
			i := len(tt.blocks)
			for b.Loop() {
				if i == len(tt.blocks) && (i > 1 || d == nil) {
					d = hpack.NewDecoder(defaultTableSize, func(f hpack.HeaderField) { fs = append(fs, f) })
					d.Write(first)
					d.Close()
				}
				if i == len(tt.blocks) {
					i = 0
				}
				fs = fs[:0]
				if _, err := d.Write(tt.blocks[i]); err != nil {
					b.Fatal(err)
				}
				d.Close()
				i++
			}
		})
	}
}
