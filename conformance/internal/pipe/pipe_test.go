package pipe

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/weir-rpc/weir/conformance/internal/conformancepb"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	sent := []*conformancepb.ServerCompatResponse{
		{Host: "127.0.0.1", Port: 4711},
		{},
		{PemCert: bytes.Repeat([]byte{7}, 100_000)},
	}
	var pipe bytes.Buffer
	for _, m := range sent {
		if err := Write(&pipe, m); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range sent {
		got := new(conformancepb.ServerCompatResponse)
		if err := Read(&pipe, got); err != nil || !proto.Equal(got, want) {
			t.Errorf("message %d is %v, %v, want %v", i, got, err, want)
		}
	}
	if err := Read(&pipe, new(conformancepb.ServerCompatResponse)); err != io.EOF {
		t.Errorf("error %v after the last, want io.EOF", err)
	}
}

func TestWrite(t *testing.T) {
	var pipe bytes.Buffer
	if err := Write(&pipe, &conformancepb.ServerCompatResponse{Host: "abc"}); err != nil {
		t.Fatal(err)
	}
	if got, want := pipe.String(), "\x00\x00\x00\x05\x0a\x03abc"; got != want {
		t.Errorf("written %q, want %q", got, want)
	}
}

func TestReadFails(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		err      error  // is it
		text     string // or is part of it
	}{
		{"nothing", "", io.EOF, ""},
		{"half a length", "\x00\x00", io.ErrUnexpectedEOF, ""},
		{"no message", "\x00\x00\x00\x05", io.ErrUnexpectedEOF, ""},
		{"half a message", "\x00\x00\x00\x05\x0a\x03a", io.ErrUnexpectedEOF, ""},
		{"text", "GET / HTTP/1.1", nil, "announces a message of 1195725856 octets"},
		{"no protobuf", "\x00\x00\x00\x02\x0a\x03", nil, "proto"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := Read(strings.NewReader(tt.in), new(conformancepb.ServerCompatResponse))
			switch {
			case err == nil:
				t.Error("no error")
			case tt.err != nil && !errors.Is(err, tt.err), !strings.Contains(err.Error(), tt.text):
				t.Errorf("error %v, want %v %s", err, tt.err, tt.text)
			}
		})
	}
}
