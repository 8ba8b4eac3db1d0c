package transport

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir/internal/field"
	"github.com/weir-rpc/weir/internal/h2peer"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// A call's headers are those of the gRPC specification, in its order, and then
// the metadata; reserved keys are left out, -bin values encoded.
// Rows A23, A33, B8: all fields arrive: the scheme is that of the security
// there is, the compressors are those that the configuration names.
func TestCallHeaders_AreThoseOfTheSpecification(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  ClientConfig
		call Call
		want []string
	}{
		"as little as possible": {ClientConfig{Authority: "sim"}, Call{Method: "/a.B/C"}, []string{
			":method=POST", ":scheme=http", ":path=/a.B/C", ":authority=sim", "content-type=application/grpc",
			"user-agent=" + defaultUserAgent, "te=trailers",
		}},
		"everything": {
			ClientConfig{
				Authority: "sim", UserAgent: "me/1", AcceptEncoding: "gzip,zstd",
				ConnConfig: ConnConfig{AuthInfo: credentials.TLSInfo{}},
			},
			Call{
				Method: "/a.B/C", Authority: "other", ContentSubtype: "proto", SendCompress: "gzip", AcceptEncoding: "zstd",
				Metadata: metadata.MD{"b": {"1", "2"}, "a-bin": {"\x00\xff"}, "grpc-timeout": {"1S"}, "te": {"x"}, "content-type": {"y"}},
			},
			[]string{
				":method=POST", ":scheme=https", ":path=/a.B/C", ":authority=other", "content-type=application/grpc+proto",
				"user-agent=me/1", "te=trailers", "grpc-encoding=gzip", "grpc-accept-encoding=zstd", "a-bin=AP8", "b=1", "b=2",
			},
		},
		"what the connection accepts": {ClientConfig{Authority: "sim", AcceptEncoding: "gzip,zstd"}, Call{Method: "/a.B/C"}, []string{
			":method=POST", ":scheme=http", ":path=/a.B/C", ":authority=sim", "content-type=application/grpc",
			"user-agent=" + defaultUserAgent, "te=trailers", "grpc-accept-encoding=gzip,zstd",
		}},
		"insecure credentials": {ClientConfig{Authority: "sim", ConnConfig: ConnConfig{AuthInfo: insecureInfo(t)}}, Call{Method: "/a.B/C"}, []string{
			":method=POST", ":scheme=http", ":path=/a.B/C", ":authority=sim", "content-type=application/grpc",
			"user-agent=" + defaultUserAgent, "te=trailers",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inClient(t, tt.cfg, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				for id := uint32(1); id <= 5; id += 2 { // blocks that recur are encoded from memory
					if _, err := ct.NewStream(t.Context(), &tt.call); err != nil {
						t.Fatal(err)
					}
					var got []string
					for _, f := range p.WantHeaders("a call", id).Fields {
						got = append(got, f.Name+"="+f.Value)
					}
					if !slices.Equal(got, tt.want) {
						t.Errorf("headers are\n%q, want\n%q", got, tt.want)
					}
				}
			})
		})
	}
}

func insecureInfo(t *testing.T) credentials.AuthInfo {
	t.Helper()
	_, info, err := insecure.NewCredentials().ClientHandshake(t.Context(), "sim", nil)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// More kinds of calls than are remembered are sent all the same, each with its
// own method.
func TestCallHeaders_ManyMethods_AreNotMixedUp(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		for i := range uint32(maxBlocks + 10) {
			method := "/s/" + strings.Repeat("m", int(i%40)) + string(rune('0'+i%10)) + string(rune(0x4e00+i))
			if _, err := ct.NewStream(t.Context(), &Call{Method: method}); err != nil {
				t.Fatal(err)
			}
			if h := p.WantHeaders("a call", 2*i+1); h.Get(":path") != method {
				t.Fatalf("the call of %q went to %q", method, h.Get(":path"))
			}
		}
	})
}

// https://www.rfc-editor.org/rfc/rfc9113#section-8.2.1
// Whitespace around a value of metadata stays at home; that within it does not.
func TestMetadata_OuterSpaces_AreNotSent(t *testing.T) {
	for value, want := range map[string]string{" a": "a", "a ": "a", "  a b  ": "a b", " ": "", "": ""} {
		t.Run(value, func(t *testing.T) {
			inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				for id := uint32(1); id <= 5; id += 2 { // blocks that recur are encoded from memory
					if _, err := ct.NewStream(t.Context(), &Call{Method: "/a.B/C", Metadata: metadata.Pairs("k", value)}); err != nil {
						t.Fatal(err)
					}
					if h := p.WantHeaders("a call", id); h.Get("k") != want {
						t.Errorf("%q was sent as %q", value, h.Get("k"))
					}
				}
			})
		})
	}
}

// A request always names an authority: that of the call, else that of the
// connection, else the server's address.
func TestAuthority_OfACall(t *testing.T) {
	for _, tt := range []struct{ conn, call, want string }{
		{"", "", "b"}, {"conn", "", "conn"}, {"", "call", "call"}, {"conn", "call", "call"},
	} {
		inClient(t, ClientConfig{Authority: tt.conn}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
			if _, err := ct.NewStream(t.Context(), &Call{Method: "/s/Stream", Authority: tt.call}); err != nil {
				t.Fatal(err)
			}
			if got := p.WantHeaders("a call", 1).Get(":authority"); got != tt.want {
				t.Errorf(":authority is %q, want %q", got, tt.want)
			}
		})
	}
}

// Who takes a stream out of the table tells its end, of a header list that is too
// large too: the end of the connection must not come between.
func TestHeaders_TooLargeWhileTheConnectionEnds(t *testing.T) {
	for range 500 {
		inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
			p.Ignore(http2.FrameRSTStream, http2.FrameGoAway)
			call := roundTrip(t.Context(), ct, "x")
			take(p, 1)
			p.WriteResponse(1, []byte("a message"))
			synctest.Wait()
			var end sync.WaitGroup
			end.Go(func() { ct.Close("the test") })
			_ = ct.(*http2Client).headers(1, false, &field.List{TooLarge: true})
			if <-call.done; call.err == nil {
				t.Error("the call succeeded")
			}
			end.Wait()
		})
	}
}
