package servehttp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// framed is a message behind its prefix, which may promise another size.
func framed(flag byte, size uint32, data []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flag}, size), data...)
}

func TestReceive(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 1_000_000)
	broken := errors.New("broken")
	for _, tt := range []struct {
		name string
		in   io.Reader
		want []byte
		flag bool
		err  error
		code codes.Code
	}{
		{name: "nothing", in: bytes.NewReader(nil), err: io.EOF},
		{name: "empty", in: bytes.NewReader(framed(0, 0, nil)), want: []byte{}},
		{name: "small", in: bytes.NewReader(framed(1, 3, []byte("abc"))), want: []byte("abc"), flag: true},
		{name: "large", in: bytes.NewReader(framed(0, 1_000_000, large)), want: large},
		{name: "octet by octet", in: iotest.OneByteReader(bytes.NewReader(framed(0, 3, []byte("abc")))), want: []byte("abc")},
		{name: "one of two", in: bytes.NewReader(append(framed(0, 1, []byte("a")), framed(0, 1, []byte("b"))...)), want: []byte("a")},
		{name: "half a prefix", in: bytes.NewReader([]byte{0, 0}), code: codes.Internal},
		{name: "prefix alone", in: bytes.NewReader(framed(0, 3, nil)), code: codes.Internal},
		{name: "half a message", in: bytes.NewReader(framed(0, 3, []byte("a"))), code: codes.Internal},
		{name: "half a large one", in: bytes.NewReader(framed(0, 1_000_000, large[:500_000])), code: codes.Internal},
		{name: "bad flag", in: bytes.NewReader(framed(2, 0, nil)), code: codes.Internal},
		{name: "too large", in: bytes.NewReader(framed(0, 1_000_001, nil)), code: codes.ResourceExhausted},
		{name: "the connection breaks", in: io.MultiReader(bytes.NewReader(framed(0, 3, nil)), iotest.ErrReader(broken)), err: broken},
	} {
		m, err := receive(tt.in, 1_000_000)
		switch {
		case tt.err != nil && err != tt.err, tt.code != codes.OK && status.Code(err) != tt.code:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != nil && (err != nil || !bytes.Equal(m.Bytes(), tt.want) || m.Compressed != tt.flag):
			t.Errorf("%s: got %d octets, %v", tt.name, m.Len(), err)
		}
		m.Free()
	}
}

// Whatever a client sends, receive gives messages of the limit at most, and then
// an error.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{}, uint32(10))
	f.Add(framed(0, 3, []byte("abc")), uint32(10))
	f.Add(append(framed(1, 0, nil), framed(0, 1<<31, []byte("abc"))...), uint32(1<<20))
	f.Fuzz(func(t *testing.T, in []byte, limit uint32) {
		limit %= 1 << 20
		r := bytes.NewReader(in)
		for taken := 0; ; {
			m, err := receive(r, limit)
			if err != nil {
				if err != io.EOF && status.Code(err) == codes.OK {
					t.Errorf("ended with %v", err)
				}
				return
			}
			if taken += 5 + m.Len(); m.Len() > int(limit) || taken > len(in) {
				t.Errorf("a message of %d octets, the limit is %d; %d of %d", m.Len(), limit, taken, len(in))
			}
			m.Free()
		}
	})
}
