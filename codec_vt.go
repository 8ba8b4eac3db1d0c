package weir

import (
	"fmt"

	"github.com/weir-rpc/weir/transport"
)

// vtMessage is what vtprotobuf generates for a message.
type vtMessage interface {
	SizeVT() int
	MarshalToSizedBufferVT(b []byte) (int, error) // to the end of b
	UnmarshalVT(b []byte) error                   // adds to what is there, and keeps nothing of b
}

func marshalVT(v vtMessage) (transport.Buffer, error) {
	m := transport.NewBuffer(v.SizeVT())
	n, err := v.MarshalToSizedBufferVT(m.Bytes())
	if err == nil && n != m.Len() {
		err = fmt.Errorf("%T wrote %d octets and SizeVT said %d: it was changed meanwhile", v, n, m.Len())
	}
	if err != nil {
		m.Free()
		return m, marshalError(err)
	}
	return m, nil
}

func unmarshalVT(data []byte, v vtMessage) error {
	if r, ok := v.(interface{ Reset() }); ok {
		r.Reset()
	}
	return v.UnmarshalVT(data)
}
