package serverstream

import (
	"io"

	"github.com/weir-rpc/weir/transport"
)

// Request takes the one message of a request and the end behind it: see
// transport.ServerStream.
func Request(recv func() (transport.Message, error)) (transport.Message, error) {
	m, err := recv()
	if err != nil {
		return m, err
	}
	more, err := recv()
	if err == io.EOF {
		return m, nil
	}
	m.Free()
	if err != nil {
		return transport.Message{}, err
	}
	more.Free()
	return transport.Message{}, transport.ErrManyMessages
}
