package transport

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// The order and the fields of an answer are those of the gRPC specification.
func TestAnswer_Fields(t *testing.T) {
	detailed, err := status.New(codes.NotFound, "gone").WithDetails(durationpb.New(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		do            func(st ServerStream)
		code          codes.Code
		header, field string // of the headers or "" for trailers only, of the trailers
	}{
		"OK":           {func(st ServerStream) { st.Reply(text("m")) }, codes.OK, "[:status=200 content-type=application/grpc+x]", "[grpc-status=0]"},
		"only OK":      {func(st ServerStream) { st.WriteStatus(nil) }, codes.OK, "", "[:status=200 content-type=application/grpc+x grpc-status=0]"},
		"error":        {func(st ServerStream) { st.WriteStatus(status.New(codes.NotFound, "gone")) }, codes.NotFound, "", "[:status=200 content-type=application/grpc+x grpc-status=5 grpc-message=gone]"},
		"no message":   {func(st ServerStream) { st.WriteStatus(status.New(codes.NotFound, "")) }, codes.NotFound, "", "[:status=200 content-type=application/grpc+x grpc-status=5]"},
		"with details": {func(st ServerStream) { st.WriteStatus(detailed) }, codes.NotFound, "", "grpc-status-details-bin="},
		"metadata": {func(st ServerStream) {
			_ = st.SetHeader(metadata.Pairs("b", "1", "a", "2", "te", "reserved"))
			_ = st.SetTrailer(metadata.Pairs("c", "3", "grpc-status", "7"))
			st.Reply(text("m"))
		}, codes.OK, "[:status=200 content-type=application/grpc+x a=2 b=1]", "[grpc-status=0 c=3]"},
		"only OK, with metadata": {func(st ServerStream) {
			_ = st.SetHeader(metadata.Pairs("b", "1"))
			_ = st.SetTrailer(metadata.Pairs("c", "3"))
			st.WriteStatus(nil)
		}, codes.OK, "[:status=200 content-type=application/grpc+x b=1]", "[grpc-status=0 c=3]"},
		"error, with metadata": {func(st ServerStream) {
			_ = st.SetHeader(metadata.Pairs("b", "1"))
			st.WriteStatus(status.New(codes.NotFound, "gone"))
		}, codes.NotFound, "[:status=200 content-type=application/grpc+x b=1]", "[grpc-status=5 grpc-message=gone]"},
	} {
		t.Run(name, func(t *testing.T) {
			inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
				for id := uint32(1); id <= 5; id += 2 { // blocks that recur are encoded from memory
					ts.handle(tt.do)
					ts.peer.WriteHeaders(id, true, but("content-type", "application/grpc+x")...)
					<-ts.streams
					list := func(kv []string) string { return "[" + strings.Join(kv, " ") + "]" }
					if tt.header != "" {
						var kv []string
						for _, f := range ts.peer.WantHeaders("headers", id).Fields {
							kv = append(kv, f.Name+"="+f.Value)
						}
						if list(kv) != tt.header {
							t.Errorf("headers are %v, want %v", kv, tt.header)
						}
						if !strings.HasSuffix(name, "with metadata") {
							ts.peer.WantMessage("a message", id)
						}
					}
					var kv []string
					for _, f := range ts.peer.WantTrailers("trailers", id, tt.code).Fields {
						kv = append(kv, f.Name+"="+f.Value)
					}
					if !strings.Contains(list(kv), tt.field) {
						t.Errorf("trailers are %v, want %v", kv, tt.field)
					}
				}
			})
		})
	}
}

// What a client's limit does not allow goes in this order: metadata, details,
// the end of the message; an octet that is percent-encoded is not cut in two.
func TestShorten_GivesUpTheLeastFirst(t *testing.T) {
	md := metadata.Pairs("key", strings.Repeat("m", 68)) // counts 103
	for _, tt := range []struct {
		limit            uint64
		message, details int
		metadata         bool
	}{
		{statusOverhead + 303, 100, 100, true},
		{statusOverhead + 302, 100, 100, false},
		{statusOverhead + 200, 100, 100, false},
		{statusOverhead + 199, 100, 0, false},
		{statusOverhead + 100, 100, 0, false},
		{statusOverhead + 99, 99, 0, false},
		{statusOverhead, 0, 0, false},
		{1, 0, 0, false},
	} {
		t.Run(fmt.Sprint(tt.limit), func(t *testing.T) {
			m, d, kept := shorten(tt.limit, strings.Repeat("x", 100), strings.Repeat("d", 100), md)
			if len(m) != tt.message || len(d) != tt.details || (kept != nil) != tt.metadata {
				t.Errorf("%d octets of message, %d of details, metadata %v", len(m), len(d), kept)
			}
		})
	}
	for n, want := range []string{"", "a", "a", "a", "a%25", "a%25b"} {
		if m, _, _ := shorten(statusOverhead+uint64(n), "a%25b", "", nil); m != want {
			t.Errorf("%d octets of a message are %q, want %q", n, m, want)
		}
	}
}
