package transport

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
)

// good are the fields of a request that is fine.
var good = []string{
	":method", "POST", ":scheme", "http", ":path", "/u/Echo", ":authority", "sim",
	"content-type", "application/grpc", "te", "trailers",
}

// but gives good with one field changed, or removed if value is "-".
func but(name, value string) []string {
	kv := slices.Clone(good)
	for i := 0; i < len(kv); i += 2 {
		switch {
		case kv[i] != name:
		case value == "-":
			return slices.Delete(kv, i, i+2)
		default:
			kv[i+1] = value
			return kv
		}
	}
	return append(kv, name, value)
}

// https://www.rfc-editor.org/rfc/rfc9113#section-8.2
// https://www.rfc-editor.org/rfc/rfc9113#section-8.2.2
// https://www.rfc-editor.org/rfc/rfc9113#section-8.3
// https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1
// Rows A63, A65: a malformed request is a stream error PROTOCOL_ERROR, whether
// it ends with its headers or not, and harms nobody.
func TestRequest_Malformed_IsReset(t *testing.T) {
	for name, kv := range map[string][]string{
		"no :method":              but(":method", "-"),
		"no :scheme":              but(":scheme", "-"),
		"no :path":                but(":path", "-"),
		"an empty :path":          but(":path", ""),
		":path twice":             slices.Concat([]string{":path", "/u/Echo"}, good),
		"an undefined pseudo":     slices.Concat([]string{":status", "200"}, good),
		"a pseudo after regular":  slices.Concat(but(":authority", "-"), []string{":authority", "late"}),
		":path twice, once empty": slices.Concat([]string{":path", ""}, good),
		":authority twice":        slices.Concat([]string{":authority", "sim"}, good),
		"pseudo in uppercase":     slices.Concat([]string{":Path", "/"}, good),
		"pseudo without a name":   slices.Concat([]string{":", "/"}, good),
		"a name of no octets":     but("", "v"),
		"a colon in a name":       but("a:b", "v"),
		"a space in a name":       but("a b", "v"),
		"a name beyond ASCII":     but("caf\u00e9", "v"),
		"NUL in a value":          but("key", "a\x00b"),
		"LF in a value":           but("key", "a\nhost: b"),
		"CR in :path":             but(":path", "/u/Echo\r"),
		"uppercase":               but("Key", "v"),
		"connection":              but("connection", "close"),
		"keep-alive":              but("keep-alive", "1"),
		"proxy-connection":        but("proxy-connection", "close"),
		"transfer-encoding":       but("transfer-encoding", "chunked"),
		"upgrade":                 but("upgrade", "h2c"),
		"te":                      but("te", "gzip"),
		"te, twice":               but("te", "trailers, deflate"),
		"te in two fields":        slices.Concat(good, []string{"te", "deflate"}),
	} {
		t.Run(name, func(t *testing.T) {
			inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
				for id := uint32(1); id <= 5; id += 2 { // headers that recur are known by then
					ts.peer.WriteHeaders(id, id == 3, kv...)
					ts.peer.WantReset("a malformed request", id, http2.ErrCodeProtocol)
				}
				ts.peer.WantIdle("that is all")
				if len(ts.streams) > 0 {
					t.Error("a handler saw it")
				}
				ts.wantUnharmed(7)
			})
		})
	}
}

// Rows A64, A65, A66, A67: a request that is no gRPC is answered with the HTTP
// status that says why, and with a grpc-status for clients that understand it.
func TestRequest_NotGRPC_IsRefusedWithAnHTTPStatus(t *testing.T) {
	for name, tt := range map[string]struct {
		kv   []string
		http string
		code codes.Code
		says string
	}{
		"two hosts":           {append(but("host", "a"), "host", "b"), "400", codes.Internal, "host"},
		"two equal hosts":     {append(but("host", "a"), "host", "a"), "400", codes.Internal, "host"},
		"no :authority, host": {but(":authority", "-"), "400", codes.Internal, "authority"},
		"empty :authority":    {but(":authority", ""), "400", codes.Internal, "authority"},
		"GET":                 {but(":method", "GET"), "405", codes.Internal, "GET"},
		"no content-type":     {but("content-type", "-"), "415", codes.Internal, "content-type"},
		"other content-type":  {but("content-type", "application/json"), "415", codes.Internal, "application/json"},
		"almost content-type": {but("content-type", "application/grpcx"), "415", codes.Internal, "application/grpcx"},
		":path without slash": {but(":path", "u/Echo"), "200", codes.Unimplemented, "u/Echo"},
		"grpc-timeout":        {but("grpc-timeout", "1x"), "400", codes.Internal, "1x"},
		"long grpc-timeout":   {but("grpc-timeout", "123456789n"), "400", codes.Internal, "123456789n"},
		"negative timeout":    {but("grpc-timeout", "-1n"), "400", codes.Internal, "-1n"},
		"empty timeout":       {but("grpc-timeout", "n"), "400", codes.Internal, "n"},
		"header list":         {but("long", strings.Repeat("x", 3000)), "431", codes.ResourceExhausted, "MaxHeaderListSize"},
	} {
		t.Run(name, func(t *testing.T) {
			inServer(t, ServerConfig{ConnConfig: ConnConfig{MaxHeaderListSize: 2000}}, func(t *testing.T, ts *testServer) {
				for id := uint32(1); id <= 3; id += 2 {
					ts.peer.WriteHeaders(id, false, tt.kv...)
					h := ts.peer.WantTrailers("the answer is no", id, tt.code)
					if h.Get(":status") != tt.http || !strings.Contains(h.Get("grpc-message"), tt.says) {
						t.Errorf("the answer is %v, want HTTP %s that says %q", h, tt.http, tt.says)
					}
					ts.peer.WriteMessage(id, true, []byte("the rest"))
					ts.peer.WantIdle("that is all")
				}
				ts.wantUnharmed(9)
			})
		})
	}
}

// Row A66: content-types are compared without regard to case; what follows
// "application/grpc+" is the subtype.
func TestRequest_ContentType_GivesTheSubtype(t *testing.T) {
	for contentType, subtype := range map[string]string{
		"application/grpc": "", "application/grpc+proto": "proto", "Application/GRPC+Proto": "proto", "application/grpc;x": "x",
	} {
		inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
			ts.handle(func(st ServerStream) {
				if st.ContentSubtype() != subtype {
					t.Errorf("%q has subtype %q, want %q", contentType, st.ContentSubtype(), subtype)
				}
				st.WriteStatus(nil)
			})
			ts.peer.WriteHeaders(1, true, but("content-type", contentType)...)
			ts.peer.WantTrailers("an answer", 1, codes.OK)
		})
	}
}

// Rows A63, A69: a handler sees what the request says: its method, metadata
// with -bin values decoded and without what is gRPC's own, and its peer.
func TestRequest_Fields_ReachTheHandler(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		extra := []string{
			"key", "1", "key", "2", "blob-bin", "AP8", "user-agent", "me/1", "grpc-encoding", "gzip",
			"grpc-accept-encoding", "gzip, zstd", "grpc-timeout", "3S", "grpc-trace-bin", "AA", "host", "elsewhere",
		}
		for id := uint32(1); id <= 5; id += 2 {
			st, end := ts.open(id, "/s/Stream", extra...)
			md := st.Metadata()
			for k, want := range map[string]string{
				"key": "1|2", "blob-bin": "\x00\xff", "user-agent": "me/1", "content-type": "application/grpc",
				":authority": "h2peer", "grpc-encoding": "", "grpc-timeout": "", "te": "", "host": "", ":path": "",
			} {
				if got := strings.Join(md[k], "|"); got != want {
					t.Errorf("metadata %q is %q, want %q", k, got, want)
				}
			}
			if st.Method() != "/s/Stream" || st.Encoding() != "gzip" || !st.AcceptsEncoding("zstd") || st.AcceptsEncoding("br") {
				t.Errorf("method %q, encoding %q, accepts %q", st.Method(), st.Encoding(), st.AcceptEncoding())
			}
			if d, ok := st.Context().Deadline(); !ok || time.Until(d) != 3*time.Second {
				t.Errorf("the deadline is in %v", time.Until(d))
			}
			if p, ok := peer.FromContext(st.Context()); !ok || p != st.Peer() || p.Addr.String() != "a" {
				t.Errorf("the peer is %v", p)
			}
			end()
			ts.peer.WantTrailers("the handler is done", id, codes.Internal)
			ts.peer.WantReset("its client has not ended it", id, http2.ErrCodeNo)
		}
	})
}

// Metadata of requests whose headers recur are shared, what is added to one
// must not show in another.
func TestRequest_MetadataOfOne_DoNotShowInAnother(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		var kept []ServerStream
		values := []string{"a", "b", "a", "c"}
		for i, v := range values {
			st, _ := ts.open(uint32(2*i+1), "/s/Stream", "same", "x", "key", v)
			kept = append(kept, st)
		}
		for i, st := range kept {
			if got := strings.Join(st.Metadata()["key"], "|"); got != values[i] {
				t.Errorf("request %d has key %q, want %q", i, got, values[i])
			}
		}
	})
}

// Row A63: who asks for the authority gets it, whichever field the client sent
// it in; host itself is no metadata.
func TestRequest_Host_StandsInForAuthority(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		id := uint32(1)
		for range 3 { // headers that recur are known by then
			for _, tt := range []struct {
				kv   []string
				want string
			}{
				{but(":authority", "one"), "one"},
				{append(but(":authority", "-"), "host", "two"), "two"},
				{append(but(":authority", ""), "host", "three"), "three"},
				{append(but(":authority", "four"), "host", "not four"), "four"},
				{append(but(":authority", "-"), "host", "five", "key", "v"), "five"},
			} {
				ts.handle(func(st ServerStream) {
					md := st.Metadata()
					if got := strings.Join(md[":authority"], "|"); got != tt.want || md["host"] != nil {
						t.Errorf("authority %q, host %q, want authority %q", got, md["host"], tt.want)
					}
					st.WriteStatus(nil)
				})
				ts.peer.WriteHeaders(id, true, tt.kv...)
				ts.peer.WantTrailers("an answer", id, codes.OK)
				<-ts.streams
				id += 2
			}
		}
	})
}
