// Package pipe is how the conformance runner speaks with the programs that it
// starts: each message on stdin and stdout is protobuf after its length, which
// is 4 octets with the most significant first.
package pipe

import (
	"encoding/binary"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"
)

// maxMessage bounds the messages that are read. The largest of the suite hold
// requests of some hundred kilobytes.
const maxMessage = 64 << 20

// Read reads one message into m. The error is io.EOF if there is none, and
// io.ErrUnexpectedEOF if it ends early.
func Read(r io.Reader, m proto.Message) error {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > maxMessage {
		return fmt.Errorf("the runner announces a message of %d octets, which is more than the %d that are read", n, maxMessage)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	return proto.Unmarshal(b, m)
}

// Write writes m with a single call of w.Write.
func Write(w io.Writer, m proto.Message) error {
	b, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, 4), m)
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	_, err = w.Write(b)
	return err
}
