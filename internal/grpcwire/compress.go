package grpcwire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strings"

	"google.golang.org/grpc/encoding"
)

// Lookup gives the compressor that is registered under a grpc-encoding, or nil.
// There is none for "identity" and "".
func Lookup(name string) encoding.Compressor { return encoding.GetCompressor(name) }

// AcceptEncoding gives the value of grpc-accept-encoding: those of the names
// under which a compressor is registered, in their order. It is "" if there are
// none, and the field is left out then. "identity" need not be said.
func AcceptEncoding(names []string) string {
	known := make([]string, 0, len(names))
	for _, n := range names {
		if Lookup(n) != nil && !slices.Contains(known, n) {
			known = append(known, n)
		}
	}
	return strings.Join(known, ",")
}

// Compress appends src, compressed, to dst. An empty message is not compressed,
// and its prefix says so: nothing is appended. If it fails, dst is given as it
// was.
func Compress(dst []byte, c encoding.Compressor, src []byte) ([]byte, error) {
	if len(src) == 0 {
		return dst, nil
	}
	buf := bytes.NewBuffer(dst)
	w, err := c.Compress(buf)
	if err != nil {
		return dst, err
	}
	if _, err := w.Write(src); err != nil {
		_ = w.Close() // or it would not go back to its pool
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

// leastRoom is how much Decompress makes room for at first, in octets, if dst
// has none. The memory doubles from there: what a message needs has to come out
// of it, whatever it promises.
const leastRoom = 512

// maxEmptyReads is how often a decompressor may give nothing, not even an end.
const maxEmptyReads = 100

// Decompress appends src, decompressed, to dst. However small src is, no more
// than limit octets and one come of it, in memory for as many: then the error
// is ErrTooLarge. If it fails, dst is given as it was.
func Decompress(dst []byte, c encoding.Compressor, src []byte, limit int) ([]byte, error) {
	r, err := c.Decompress(bytes.NewReader(src))
	if err != nil {
		return dst, err
	}
	if closer, ok := r.(io.Closer); ok {
		defer func() { _ = closer.Close() }() // src is read, or broken
	}
	most := len(dst) + min(max(limit, 0), math.MaxInt-1-len(dst)) // octets that out may have
	out := dst
	for empty := 0; empty < maxEmptyReads; {
		if len(out) == cap(out) {
			out = withRoom(out, len(dst), most+1)
		}
		n, err := r.Read(out[len(out):min(cap(out), most+1)])
		out = out[:len(out)+n]
		switch {
		case len(out) > most:
			return dst, ErrTooLarge
		case err == io.EOF:
			return out, nil
		case err != nil:
			return dst, err
		case n == 0:
			empty++
		default:
			empty = 0
		}
	}
	return dst, io.ErrNoProgress
}

// withRoom gives a copy of b with twice the room behind start, up to a capacity
// of most.
func withRoom(b []byte, start, most int) []byte {
	room := max(leastRoom, 2*(len(b)-start))
	next := make([]byte, len(b), start+min(room, most-start))
	copy(next, b)
	return next
}
