package grpcwire

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc/encoding"
)

// Lookup gives the compressor that is registered under a grpc-encoding, or nil.
func Lookup(name string) encoding.Compressor { return encoding.GetCompressor(name) }

// AcceptEncoding gives the value of grpc-accept-encoding: those of the names
// under which a compressor is registered.
func AcceptEncoding(names []string) string {
	var known []string
	for _, n := range names {
		if Lookup(n) != nil {
			known = append(known, n)
		}
	}
	return strings.Join(known, ",")
}

// Compress appends src, compressed, to dst.
func Compress(dst []byte, c encoding.Compressor, src []byte) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	w, err := c.Compress(buf)
	if err != nil {
		return dst, err
	}
	if _, err := w.Write(src); err != nil {
		return dst, err
	}
	if err := w.Close(); err != nil {
		return dst, err
	}
	return buf.Bytes(), nil
}

// ErrTooLarge says that a message is larger than its limit when it is
// decompressed.
var ErrTooLarge = errors.New("the message is larger than the limit when it is decompressed")

// Decompress appends src, decompressed, to dst. However small src is, no more
// than limit octets and one come of it: then the error is ErrTooLarge.
func Decompress(dst []byte, c encoding.Compressor, src []byte, limit int) ([]byte, error) {
	r, err := c.Decompress(bytes.NewReader(src))
	if err != nil {
		return dst, err
	}
	out := dst
	most := len(dst) + limit
	for {
		if len(out) == cap(out) {
			// Grow in steps that src earned, not by what it promises.
			out = append(out, 0)[:len(out)]
		}
		room := out[len(out):min(cap(out), most+1)]
		n, err := r.Read(room)
		out = out[:len(out)+n]
		switch {
		case len(out) > most:
			return dst, ErrTooLarge
		case err == io.EOF:
			return out, nil
		case err != nil:
			return dst, err
		}
	}
}
