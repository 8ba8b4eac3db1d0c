package serverstream

import (
	"errors"
	"testing"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// What a handler says in time is kept, and what it says too late is refused.
func TestAnswer(t *testing.T) {
	md := metadata.Pairs("k", "v")
	for name, tt := range map[string]struct {
		header, status            bool // are sent
		setHeader, setTrailer, by error
	}{
		"at first":     {},
		"headers sent": {header: true, setHeader: ErrHeaderSent, by: ErrHeaderSent},
		"status sent":  {status: true, setHeader: ErrHeaderSent, setTrailer: ErrStatusSent, by: ErrHeaderSent},
	} {
		t.Run(name, func(t *testing.T) {
			a := Answer{HeaderSent: tt.header, StatusSent: tt.status}
			for _, op := range []struct {
				what      string
				got, want error
				kept      int
			}{
				{"SetHeader", a.SetHeader(md), tt.setHeader, len(a.Header()["k"])},
				{"SetTrailer", a.SetTrailer(md), tt.setTrailer, len(a.Trailer()["k"])},
				{"SetSendCompress", a.SetSendCompress("z"), tt.by, len(a.SendCompress())},
			} {
				if !errors.Is(op.got, op.want) || (op.got == nil) != (op.want == nil) || (op.kept == 1) != (op.want == nil) {
					t.Errorf("%s gives %v and keeps %d, want %v", op.what, op.got, op.kept, op.want)
				}
			}
			a.Header().Set("k", "changed")
			if got := a.Header().Get("k"); len(got) == 1 && got[0] != "v" {
				t.Errorf("Header gave no copy: %q", got)
			}
		})
	}
}

// Metadata that gRPC does not allow is refused, and nothing of it is kept.
func TestAnswer_BadMetadata(t *testing.T) {
	var a Answer
	bad := metadata.MD{"with space": {"v"}}
	for what, err := range map[string]error{"SetHeader": a.SetHeader(bad), "SetTrailer": a.SetTrailer(bad)} {
		if s, ok := status.FromError(err); !ok || err == nil {
			t.Errorf("%s gives %v, status %v", what, err, s)
		}
	}
	if len(a.Header())+len(a.Trailer()) != 0 {
		t.Errorf("%v and %v are kept", a.Header(), a.Trailer())
	}
}
