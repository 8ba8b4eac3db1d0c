package transport

import (
	"bytes"
	"testing"
)

// A Buffer's message lies behind room for its prefix, which costs an encoder
// nothing that appends to it.
func TestBuffer_SetBytes_CopiesOnlyWhatLiesElsewhere(t *testing.T) {
	b := NewBuffer(10)
	first := &b.Bytes()[0]
	b.SetBytes(append(b.Bytes()[:0], "short"...))
	if string(b.Bytes()) != "short" || &b.Bytes()[0] != first || b.Len() != 5 {
		t.Errorf("the message is %q", b.Bytes())
	}
	b.Compressed = true
	b.SetBytes(bytes.Repeat([]byte("long"), 5000))
	if b.Len() != 20000 || !b.Compressed {
		t.Errorf("the message has %d octets, compressed %v", b.Len(), b.Compressed)
	}
	sealed := *b.seal()
	if want := []byte{1, 0, 0, 0x4e, 0x20, 'l'}; !bytes.HasPrefix(sealed, want) {
		t.Errorf("sealed it begins with % x, want % x", sealed[:6], want)
	}
	b.SetBytes(nil)
	if b.Len() != 0 {
		t.Errorf("the message has %d octets, want none", b.Len())
	}
	b.Free()
	b.Free()
	if b.Bytes() != nil {
		t.Error("a Buffer that was freed has a message")
	}
}

// The zero Buffer is an empty message, that of zero octets too.
func TestBuffer_Zero_IsAnEmptyMessage(t *testing.T) {
	for _, b := range []Buffer{{}, NewBuffer(0)} {
		sealed := b.seal()
		if !bytes.Equal(*sealed, make([]byte, 5)) {
			t.Errorf("sealed it is % x", *sealed)
		}
		done := Buffer{b: sealed}
		done.Free()
	}
}
