package grpcwire

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// ask sends one request with these header fields to a grpc-go server on
// net/http and gives its answer: HTTP status, header and trailer in one.
func ask(t *testing.T, fields map[string]string, handler grpc.StreamHandler) (code int, answer http.Header) {
	t.Helper()
	s := grpc.NewServer(grpc.UnknownServiceHandler(handler))
	defer s.Stop()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/service/method", strings.NewReader(""))
	r.ProtoMajor, r.ProtoMinor = 2, 0
	r.Header.Set("content-type", ContentType(""))
	r.Header.Set("te", "trailers")
	for k, v := range fields {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, w.Header()
}

func returns(err error) grpc.StreamHandler {
	return func(any, grpc.ServerStream) error { return err }
}

// What grpc-go sends as grpc-message is what we send, but for spaces at its
// ends, which we encode.
func TestMessageAsGrpcGo(t *testing.T) {
	for _, s := range []string{
		"plain text!", "100%", "%41", "a\nb\t", "ü ☺ 😀", "\xff", "a\xc3(", "\xff\xfe", "\x00\x7f", " both ends ", "~}|",
	} {
		_, answer := ask(t, nil, returns(status.Error(codes.Aborted, s)))
		theirs := answer.Get("Grpc-Message")
		if ours := EncodeMessage(s); theirs != ours && strings.TrimSpace(s) == s {
			t.Errorf("%q: %q, grpc-go sends %q", s, ours, theirs)
		}
		if got, want := DecodeMessage(theirs), DecodeMessage(EncodeMessage(s)); got != want {
			t.Errorf("%q comes from grpc-go as %q, from us as %q", s, got, want)
		}
	}
}

func TestStatusAsGrpcGo(t *testing.T) {
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		want := withDetails(t, code, "because of ☺")
		_, answer := ask(t, nil, returns(want.Err()))
		got, ok := ParseCode(answer.Get("Grpc-Status"))
		if !ok || got != code {
			t.Fatalf("grpc-status %q is %v, want %v", answer.Get("Grpc-Status"), got, code)
		}
		st := DecodeStatus(got, DecodeMessage(answer.Get("Grpc-Message")), answer.Get("Grpc-Status-Details-Bin"))
		if !proto.Equal(st.Proto(), want.Proto()) {
			t.Errorf("%v comes from grpc-go as %v", want, st)
		}
		if theirs, ours := answer.Get("Grpc-Status-Details-Bin"), EncodeDetails(want); theirs != ours {
			t.Errorf("details are %q, grpc-go sends %q", ours, theirs)
		}
	}
}

// Row A68: grpc-go takes the same timeouts for good as we do, and for the same
// time: 0n is a deadline that is over.
func TestTimeoutAsGrpcGo(t *testing.T) {
	values := []string{
		"0n", "1n", "99999999n", "5u", "5m", "5S", "5M", "5H", "2562047H", "00000001S", "99999999M",
		"1", "S", "S1", "1s", "1h", "-1S", "1.5S", "123456789n", "1SS", " 1S",
	}
	for _, d := range []time.Duration{0, 1, time.Second, 100 * time.Hour, 1234567890123} {
		values = append(values, string(AppendTimeout(nil, d)))
	}
	for _, v := range values {
		synctest.Test(t, func(t *testing.T) {
			var theirs time.Duration
			called := false
			code, _ := ask(t, map[string]string{"grpc-timeout": v}, func(_ any, s grpc.ServerStream) error {
				called = true
				deadline, ok := s.Context().Deadline()
				if !ok {
					t.Errorf("%q: no deadline", v)
				}
				theirs = time.Until(deadline)
				return nil
			})
			ours, err := ParseTimeout(v)
			if good := code == http.StatusOK; good != (err == nil) {
				t.Fatalf("%q: %v, %v; grpc-go answers with HTTP status %d", v, ours, err, code)
			}
			if called && theirs != ours {
				t.Errorf("%q is %v, grpc-go takes it for %v", v, ours, theirs)
			}
		})
	}
}

// grpc-go takes the same content-types, in lower case; we in any.
func TestContentTypeAsGrpcGo(t *testing.T) {
	for _, s := range []string{
		"application/grpc", "Application/GRPC", "application/grpc+proto", "application/grpc;x", "application/grpc; charset=utf-8",
		"application/grpc+", "application/grpcx", "application/grpc-web", "application/json", "", "application/grp",
	} {
		code, _ := ask(t, map[string]string{"content-type": strings.ToLower(s)}, returns(nil))
		if _, ok := ParseContentType(s); ok != (code == http.StatusOK) {
			t.Errorf("%q: %t, grpc-go answers with HTTP status %d", s, ok, code)
		}
	}
}

// Metadata travels both ways between grpc-go and us, binary values and all,
// and what we call reserved it does not take for metadata.
func TestMetadataAsGrpcGo(t *testing.T) {
	want := metadata.MD{"x-ascii": {"abc ~!"}, "x-bin": {"\x00\xff\xfe octets"}, "grpc-trace-bin": {"\x01"}}
	if err := ValidateMetadata(want); err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{"grpc-encoding": "identity", "grpc-timeout": "1H", "grpc-message-type": "T"}
	for k, v := range want {
		fields[k] = v[0]
		if IsBin(k) {
			fields[k] = EncodeBin(v[0])
		}
	}
	_, answer := ask(t, fields, func(_ any, s grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(s.Context())
		for k, v := range want {
			if !slices.Equal(md[k], v) {
				t.Errorf("%s: grpc-go reads %q, want %q", k, md[k], v)
			}
		}
		for _, k := range slices.Sorted(maps.Keys(md)) {
			switch k {
			case ":authority", "content-type", "user-agent": // shown to handlers on purpose
			default:
				if Reserved(k) {
					t.Errorf("grpc-go takes %s for metadata", k)
				}
			}
		}
		s.SetTrailer(want)
		return nil
	})
	for k, v := range want {
		got := answer.Values("Trailer:" + k)
		if IsBin(k) {
			var err error
			if got, err = AppendBin(nil, strings.Join(got, ", ")); err != nil {
				t.Error(err)
			}
		}
		if !slices.Equal(got, v) {
			t.Errorf("%s: grpc-go sends %q, want %q", k, got, v)
		}
	}
}
