// Package compressedflag tells which of the messages that were received came
// compressed, which the interop cases about compression ask. gRPC tells it in
// the Compressed-Flag of a message's prefix; generated code does not show it.
//
// The package takes the place of the compressor "gzip". Its decompressor puts
// one more protobuf field behind the message, one that no interop message
// knows, and Of looks for it.
package compressedflag

import (
	"bytes"
	"io"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// mark is the field: the highest number that there is, of value 1.
var mark = protowire.AppendVarint(protowire.AppendTag(nil, protowire.MaxValidNumber, protowire.VarintType), 1)

func init() {
	encoding.RegisterCompressor(marking{encoding.GetCompressor(gzip.Name)})
}

// marking is a compressor that marks what it decompresses.
type marking struct{ encoding.Compressor }

func (m marking) Decompress(r io.Reader) (io.Reader, error) {
	message, err := m.Compressor.Decompress(r)
	if err != nil {
		return nil, err
	}
	return io.MultiReader(message, bytes.NewReader(mark)), nil
}

// Of says whether m came compressed.
func Of(m proto.Message) bool {
	return bytes.HasSuffix(m.ProtoReflect().GetUnknown(), mark)
}
