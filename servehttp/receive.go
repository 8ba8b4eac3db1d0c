package servehttp

import (
	"errors"
	"io"

	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
)

// wordRead is how much memory is taken for a message on its prefix's word.
const wordRead = 80 << 10

// receive reads a message of at most limit octets. The error is io.EOF at the
// end of the request, a *transport.StreamError if the client has sent
// something wrong, and that of the reader otherwise.
func receive(r io.Reader, limit uint32) (transport.Buffer, error) {
	var prefix [grpcwire.PrefixLen]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return transport.Buffer{}, cutShort(err)
	}
	compressed, n, err := grpcwire.ParsePrefix(prefix[:])
	if err != nil {
		return transport.Buffer{}, faultf(codes.Internal, "the peer sent a malformed message: %v", err)
	}
	if n > limit {
		return transport.Buffer{}, faultf(codes.ResourceExhausted, "%s", grpcwire.TooLarge(false, n, limit))
	}
	m := transport.NewBuffer(int(min(n, wordRead)))
	m.Compressed = compressed
	for got := 0; ; {
		k, err := io.ReadFull(r, m.Bytes()[got:])
		if got += k; err != nil {
			m.Free()
			if err == io.EOF && n > 0 {
				err = io.ErrUnexpectedEOF
			}
			return transport.Buffer{}, cutShort(err)
		}
		if got == int(n) {
			return m, nil
		}
		more := transport.NewBuffer(int(min(uint64(n), 4*uint64(got)))) // as large as what has really come allows
		more.Compressed = compressed
		copy(more.Bytes(), m.Bytes())
		m.Free()
		m = more
	}
}

// cutShort says of a request that ends in the middle of a message what is
// wrong with it.
func cutShort(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return faultf(codes.Internal, "the peer ended the stream in the middle of a message")
	}
	return err
}
