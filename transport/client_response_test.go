package transport

import (
	"io"
	"strings"
	"testing"

	"github.com/weir-rpc/weir/internal/h2peer"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// headers writes a header section as it is.
func headers(end bool, kv ...string) func(p *h2peer.Peer) {
	return func(p *h2peer.Peer) { p.WriteHeaders(1, end, kv...) }
}

// badResponses are answers that are no good ones: what the server says, the
// status of the call, what the error says, and the RST_STREAM that the server
// gets unless it has ended the stream.
var badResponses = map[string]struct {
	do    func(p *h2peer.Peer)
	code  codes.Code
	says  string
	reset http2.ErrCode
}{
	"HTTP 401":          {headers(true, ":status", "401"), codes.Unauthenticated, "401", 0},
	"HTTP 403":          {headers(true, ":status", "403"), codes.PermissionDenied, "403", 0},
	"HTTP 404":          {headers(true, ":status", "404"), codes.Unimplemented, "404", 0},
	"HTTP 400":          {headers(true, ":status", "400"), codes.Internal, "400", 0},
	"HTTP 418":          {headers(true, ":status", "418"), codes.Unknown, "418", 0},
	"HTTP 429":          {headers(true, ":status", "429"), codes.Unavailable, "429", 0},
	"HTTP 503":          {headers(true, ":status", "503"), codes.Unavailable, "503", 0},
	"HTTP 502 and body": {headers(false, ":status", "502", "content-type", "text/html"), codes.Unavailable, "text/html", http2.ErrCodeCancel},
	"HTTP 200, not gRPC": {headers(false, ":status", "200", "content-type", "text/html"),
		codes.Unknown, "text/html", http2.ErrCodeCancel},
	"a status beside HTTP 404": {headers(true, ":status", "404", "grpc-status", "7"), codes.PermissionDenied, "", 0},
	"no :status":               {headers(false, "content-type", "application/grpc"), codes.Internal, ":status", http2.ErrCodeProtocol},
	"a :status of words":       {headers(false, ":status", "fine", "content-type", "application/grpc"), codes.Internal, "fine", http2.ErrCodeProtocol},
	":status twice":            {headers(false, ":status", "200", ":status", "200"), codes.Internal, ":status", http2.ErrCodeProtocol},
	"a request's field":        {headers(false, ":status", "200", ":path", "/"), codes.Internal, ":path", http2.ErrCodeProtocol},
	"pseudo after regular":     {headers(false, "content-type", "application/grpc", ":status", "200"), codes.Internal, ":status", http2.ErrCodeProtocol},
	"uppercase":                {headers(false, ":status", "200", "Content-Type", "application/grpc"), codes.Internal, "Content-Type", http2.ErrCodeProtocol},
	"connection field":         {headers(false, ":status", "200", "connection", "close"), codes.Internal, "connection", http2.ErrCodeProtocol},
	":status in trailers": {func(p *h2peer.Peer) {
		p.WriteResponse(1, []byte("m"))
		p.WriteHeaders(1, true, ":status", "200", "grpc-status", "0")
	}, codes.Internal, ":status", 0},
	"LF in a value":     {headers(false, ":status", "200", "key", "a\nb: c"), codes.Internal, "key", http2.ErrCodeProtocol},
	"a space in a name": {headers(false, ":status", "200", "a b", "v"), codes.Internal, "a b", http2.ErrCodeProtocol},
	"connection trailer": {func(p *h2peer.Peer) {
		p.WriteResponse(1, []byte("m"))
		headers(true, "grpc-status", "0", "upgrade", "h2c")(p)
	}, codes.Internal, "upgrade", 0},
	"malformed 1xx":   {headers(false, ":status", "103", "connection", "close"), codes.Internal, "connection", http2.ErrCodeProtocol},
	"1xx and no more": {headers(true, ":status", "103"), codes.Unknown, "103", 0},
	"1xx and DATA": {func(p *h2peer.Peer) { headers(false, ":status", "103")(p); p.WriteData(1, false, []byte("x")) },
		codes.Internal, "before the headers", http2.ErrCodeProtocol},
	"1xx without end": {func(p *h2peer.Peer) {
		for range maxInformational + 1 {
			p.WriteHeaders(1, false, ":status", "103")
		}
	}, codes.Internal, "informational", http2.ErrCodeEnhanceYourCalm},
	"content-length of words": {headers(false, ":status", "200", "content-type", "application/grpc", "content-length", "many"), codes.Internal, "content-length", http2.ErrCodeProtocol},
	"more than content-length": {func(p *h2peer.Peer) { p.WriteResponse(1, []byte("message"), "content-length", "11") },
		codes.Internal, "content-length", http2.ErrCodeProtocol},
	"more than content-length at its end": {func(p *h2peer.Peer) {
		headers(false, ":status", "200", "content-type", "application/grpc", "content-length", "11")(p)
		p.WriteMessage(1, true, []byte("message"))
	}, codes.Internal, "content-length", 0},
	"less than content-length": {func(p *h2peer.Peer) {
		p.WriteResponse(1, []byte("message"), "content-length", "13")
		p.WriteTrailers(1, codes.OK, "")
	}, codes.Internal, "content-length", 0},
	"less than content-length, for a reason": {func(p *h2peer.Peer) {
		p.WriteResponse(1, []byte("message"), "content-length", "13")
		p.WriteTrailers(1, codes.DataLoss, "the disk is gone")
	}, codes.DataLoss, "the disk is gone", 0},
	"headers twice": {func(p *h2peer.Peer) { p.WriteResponse(1, nil); p.WriteResponse(1, nil) },
		codes.Internal, "middle", http2.ErrCodeProtocol},
	"trailers without a status": {func(p *h2peer.Peer) { p.WriteResponse(1, nil); p.WriteHeaders(1, true, "x", "y") },
		codes.Unknown, "without a grpc-status", 0},
	"only trailers, without a status": {headers(true, ":status", "200", "content-type", "application/grpc", "x", "y"),
		codes.Unknown, "without a grpc-status", 0},
	"trailers with a pseudo field": {func(p *h2peer.Peer) {
		p.WriteResponse(1, []byte("m"))
		p.WriteHeaders(1, true, ":path", "/", "grpc-status", "0")
	}, codes.Internal, ":path", 0},
	"END_STREAM without trailers": {func(p *h2peer.Peer) { p.WriteResponse(1, nil); p.WriteMessage(1, true, []byte("m")) },
		codes.Internal, "without trailers", 0},
	"a status that is no number": {headers(true, ":status", "200", "content-type", "application/grpc", "grpc-status", "good"),
		codes.Unknown, "good", 0},
	"OK in the middle of a message": {func(p *h2peer.Peer) {
		p.WriteResponse(1, nil)
		p.WriteData(1, false, h2peer.Message([]byte("half"))[:7])
		p.WriteTrailers(1, codes.OK, "")
	}, codes.Internal, "middle", 0},
	"an error in the middle of a message": {func(p *h2peer.Peer) {
		p.WriteResponse(1, nil)
		p.WriteData(1, false, h2peer.Message([]byte("half"))[:7])
		p.WriteTrailers(1, codes.NotFound, "gone")
	}, codes.NotFound, "gone", 0},
	"a message over the limit": {func(p *h2peer.Peer) { p.WriteResponse(1, make([]byte, 101)) },
		codes.ResourceExhausted, "MaxCallRecvMsgSize", http2.ErrCodeCancel},
	"no message": {func(p *h2peer.Peer) { p.WriteResponse(1, nil); p.WriteTrailers(1, codes.OK, "") },
		codes.Unimplemented, "cardinality", 0},
	"only trailers": {func(p *h2peer.Peer) { p.WriteTrailersOnly(1, codes.OK, "") },
		codes.Unimplemented, "cardinality", 0},
	"two messages": {func(p *h2peer.Peer) {
		p.Batch(func() {
			p.WriteResponse(1, []byte("one"))
			p.WriteMessage(1, false, []byte("two"))
			p.WriteTrailers(1, codes.OK, "")
		})
	}, codes.Unimplemented, "cardinality", 0},
	"two messages, and no end": {func(p *h2peer.Peer) {
		p.WriteResponse(1, []byte("one"))
		p.WriteMessage(1, false, []byte("two"))
	}, codes.Unimplemented, "cardinality", http2.ErrCodeCancel},
}

// https://www.rfc-editor.org/rfc/rfc9113#section-8.2.2
// https://www.rfc-editor.org/rfc/rfc9113#section-8.3
// Row A63: an answer that is not one ends its call with the status that the
// gRPC specification names, its stream with a reset if it is still open, and
// nothing else.
func TestResponse_NotAGoodOne_EndsTheCallOnly(t *testing.T) {
	for name, tt := range badResponses {
		t.Run(name, func(t *testing.T) {
			cfg := ClientConfig{ConnConfig: ConnConfig{MaxHeaderListSize: 1000}}
			inClient(t, cfg, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				p.AnyOrder()
				done := async(func() error {
					var reply Reply
					err := ct.RoundTrip(t.Context(), &Call{Method: "/u/Echo", MaxRecvMessageSize: 100}, text("x"), &reply)
					reply.Free()
					return err
				})
				take(p, 1)
				tt.do(p)
				err := <-done
				if status.Code(err) != tt.code || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("the call gave %v, want %v and %q", err, tt.code, tt.says)
				}
				if tt.reset != 0 {
					p.WantReset("the stream was open", 1, tt.reset)
				}
				other := roundTrip(t.Context(), ct, "unharmed")
				take(p, 3)
				answer(p, 3, "fine")
				other.want(t, "fine")
				p.WantIdle("and that is all")
			})
		})
	}
}

// The codes of RST_STREAM become statuses as the gRPC specification has it;
// only REFUSED_STREAM says that the server has not acted on the call.
// Row C14: FLOW_CONTROL_ERROR is INTERNAL.
func TestReset_ByTheServer_BecomesAStatus(t *testing.T) {
	for code, want := range map[http2.ErrCode]codes.Code{
		http2.ErrCodeNo: codes.Internal, http2.ErrCodeProtocol: codes.Internal, http2.ErrCodeInternal: codes.Internal,
		http2.ErrCodeFlowControl: codes.Internal, http2.ErrCodeRefusedStream: codes.Unavailable,
		http2.ErrCodeCancel: codes.Canceled, http2.ErrCodeEnhanceYourCalm: codes.ResourceExhausted,
		http2.ErrCodeInadequateSecurity: codes.PermissionDenied,
	} {
		t.Run(code.String(), func(t *testing.T) {
			inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				call := roundTrip(t.Context(), ct, "x")
				take(p, 1)
				p.WriteReset(1, code)
				err := call.wantError(t, want)
				se := wantStreamError(t, err, ErrCode(code), ByPeer)
				if se.Unprocessed != (code == http2.ErrCodeRefusedStream) || se.Unsent {
					t.Errorf("Unprocessed is %v, Unsent %v", se.Unprocessed, se.Unsent)
				}
				if says := "the server at b reset the stream: RST_STREAM " + ErrCode(code).String() + " (" + actedText(se.Unprocessed) + ")"; !strings.Contains(err.Error(), says) {
					t.Errorf("the error does not say %q: %v", says, err)
				}
				p.WriteResponse(1, nil)
				p.WantIdle("what comes late is ignored")
			})
		})
	}
}

// Informational responses come before the real one and are passed over.
func TestResponse_Informational_IsPassedOver(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		call := roundTrip(t.Context(), ct, "x")
		take(p, 1)
		p.WriteHeaders(1, false, ":status", "100")
		p.WriteHeaders(1, false, ":status", "103", "link", "</style.css>")
		answer(p, 1, "the real one")
		call.want(t, "the real one")
	})
}

// Metadata arrive with headers and trailers, -bin values decoded, and what is
// gRPC's own left out; a trailers-only response has trailers alone.
func TestResponse_Metadata_Arrive(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		cs := openStream(t.Context(), t, ct, p, 1)
		header := async(func() []string { return cs.Header()["two"] })
		wantPending(t, "Header", header)
		p.WriteResponse(1, []byte("m"), "two", "1", "two", "2", "blob-bin", "AP8", "blob-bin", "AAA=,AQ==", "bad-bin", "!", "grpc-encoding", "gzip")
		if got := <-header; len(got) != 2 || got[0] != "1" || got[1] != "2" {
			t.Errorf("Header gave %q", got)
		}
		h := cs.Header()
		if got := strings.Join(h["blob-bin"], "|"); got != "\x00\xff|\x00\x00|\x01" {
			t.Errorf("-bin values are %q", got)
		}
		if len(h["bad-bin"]) != 0 || len(h["grpc-status"]) != 0 || len(h["grpc-encoding"]) != 0 || len(h[":status"]) != 0 {
			t.Errorf("Header gave %v", h)
		}
		h["two"] = nil
		if len(cs.Header()["two"]) != 2 || cs.Encoding() != "gzip" || cs.TrailersOnly() {
			t.Error("Header gave no copy")
		}
		wantMessage(t, cs, "m")
		p.WriteTrailers(1, codes.NotFound, "no%20such%20thing", "last", "words")
		if _, err := cs.Recv(); err != io.EOF {
			t.Errorf("Recv gave %v", err)
		}
		if s := cs.Status(); s.Code() != codes.NotFound || s.Message() != "no such thing" {
			t.Errorf("status is %v", s)
		}
		if got := cs.Trailer()["last"]; len(got) != 1 || got[0] != "words" {
			t.Errorf("Trailer gave %v", cs.Trailer())
		}

		p.Ignore(http2.FrameRSTStream)
		only := openStream(t.Context(), t, ct, p, 3)
		p.WriteTrailersOnly(3, codes.OK, "", "last", "words")
		if len(only.Header()) != 0 || !only.TrailersOnly() {
			t.Errorf("Header of a trailers-only response gave %v", only.Header())
		}
		if _, err := only.Recv(); err != io.EOF || only.Status().Code() != codes.OK || only.Trailer()["last"][0] != "words" {
			t.Errorf("Recv gave %v, Status %v, Trailer %v", err, only.Status(), only.Trailer())
		}
	})
}
