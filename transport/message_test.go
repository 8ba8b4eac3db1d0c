package transport

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/metadata"
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

// A shared Buffer stays as it is, whatever is done to a copy of it.
func TestBuffer_Shared_IsNotWrittenTo(t *testing.T) {
	for _, text := range []string{"", "octets that many share"} {
		b := NewSharedBuffer([]byte(text), true)
		once := b
		once.SetBytes([]byte("other"))
		once.Free()
		gone := b
		gone.Free()
		if string(b.Bytes()) != text || gone.Bytes() != nil {
			t.Errorf("the message is %q, want %q; one that is freed %q", b.Bytes(), text, gone.Bytes())
		}
		received := b.Message()
		if string(received.Data) != text || !received.Compressed {
			t.Errorf("received it is %q", received.Data)
		}
		received.Free()
		// What a unary call sends is a copy, that its pool gets.
		sealed := b.seal()
		if sealed == b.b || !bytes.Equal(*sealed, *b.b) || (*sealed)[0] != 1 || int((*sealed)[4]) != len(text) {
			t.Errorf("sealed it is %q", *sealed)
		}
		done := Buffer{b: sealed}
		done.Free()
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

// A Buffer is received without a copy, and its memory goes back once.
func TestBufferMessage(t *testing.T) {
	b := NewBuffer(3)
	copy(b.Bytes(), "abc")
	b.Compressed = true
	at := &b.Bytes()[0]
	m := b.Message()
	if string(m.Data) != "abc" || !m.Compressed || &m.Data[0] != at {
		t.Errorf("got %q, compressed %t", m.Data, m.Compressed)
	}
	m.Free()
	m.Free()
	if m.Data != nil {
		t.Errorf("after Free there is %q", m.Data)
	}
	empty := Buffer{}.Message()
	if len(empty.Data) != 0 {
		t.Errorf("an empty Buffer is received as %q", empty.Data)
	}
	empty.Free()
}

// What Fill is given a Reply says, and nobody can change it.
func TestReplyFill(t *testing.T) {
	var r Reply
	if r.Fill(Message{}, "", nil, nil); r.GotHeader() || r.GotTrailer() || len(r.Header())+len(r.Trailer()) > 0 {
		t.Errorf("a Reply without anything says %v, %v", r.Header(), r.Trailer())
	}
	r.Fill(NewBuffer(2).Message(), "gzip", metadata.Pairs("h", "1"), metadata.MD{})
	r.Header().Set("h", "changed")
	if !r.GotHeader() || !r.GotTrailer() || r.Encoding != "gzip" || len(r.Message.Data) != 2 || r.Header().Get("h")[0] != "1" || len(r.Trailer()) != 0 {
		t.Errorf("got %v, %v, %q, %d octets", r.Header(), r.Trailer(), r.Encoding, len(r.Message.Data))
	}
	r.Free()
	if r.Message.Data != nil {
		t.Error("Free leaves the message")
	}
}
