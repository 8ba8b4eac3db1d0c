package compressedflag

import (
	"bytes"
	"io"
	"testing"

	"google.golang.org/grpc/encoding"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"
)

// A message has its mark after gzip, and is otherwise what it was.
func TestOf(t *testing.T) {
	sent := &testpb.Payload{Body: bytes.Repeat([]byte{7}, 70_000)}
	plain, err := proto.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	gzip := encoding.GetCompressor("gzip")
	var packed bytes.Buffer
	w, err := gzip.Compress(&packed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := gzip.Decompress(&packed)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		octets []byte
		want   bool
	}{
		{"plain", plain, false},
		{"compressed", unpacked, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := new(testpb.Payload)
			if err := proto.Unmarshal(tt.octets, got); err != nil {
				t.Fatal(err)
			}
			if Of(got) != tt.want {
				t.Errorf("compressed: %v, want %v", Of(got), tt.want)
			}
			if !bytes.Equal(got.GetBody(), sent.GetBody()) {
				t.Error("the message is another one")
			}
		})
	}
}

func TestDecompressOfNoGzip(t *testing.T) {
	if _, err := encoding.GetCompressor("gzip").Decompress(bytes.NewReader([]byte("no gzip"))); err == nil {
		t.Error("no error")
	}
}
