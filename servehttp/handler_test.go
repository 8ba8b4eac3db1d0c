package servehttp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/servehttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// service is what is served; its functions are a test's.
type service struct {
	testpb.UnimplementedTestServiceServer
	unary  atomic.Pointer[unaryFunc] // nil echoes
	stream atomic.Pointer[streamFunc]
}

type (
	unaryFunc  func(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error)
	streamFunc func(s duplex) error
)

func (s *service) unaryIs(f unaryFunc)   { s.unary.Store(&f) }
func (s *service) streamIs(f streamFunc) { s.stream.Store(&f) }

type duplex = grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]

func (s *service) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if f := s.unary.Load(); f != nil {
		return (*f)(ctx, in)
	}
	return &testpb.SimpleResponse{Payload: in.GetPayload()}, nil
}

func (s *service) FullDuplexCall(ss duplex) error {
	if f := s.stream.Load(); f != nil {
		return (*f)(ss)
	}
	for {
		in, err := ss.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := ss.Send(&testpb.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

// port is one port of net/http with gRPC and something else.
type port struct {
	srv     *weir.Server
	service *service
	url     string
	address string
	clients map[string]testpb.TestServiceClient // weir's and grpc-go's
	web     *http.Client
}

// onPort runs f with a port that speaks TLS, and with one that does not.
func onPort(t *testing.T, f func(t *testing.T, p *port), opts ...weir.ServerOption) {
	t.Helper()
	for _, name := range []string{"TLS", "h2c"} {
		t.Run(name, func(t *testing.T) { f(t, newPort(t, name == "TLS", opts)) })
	}
}

func newPort(t *testing.T, secure bool, opts []weir.ServerOption) *port {
	t.Helper()
	p := &port{srv: weir.NewServer(opts...), service: new(service), clients: make(map[string]testpb.TestServiceClient)}
	testpb.RegisterTestServiceServer(p.srv, p.service)
	rpc := servehttp.Handler(p.srv)
	type key struct{}
	hs := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if servehttp.IsGRPC(r) || strings.HasPrefix(r.URL.Path, "/rpc-only") {
			rpc.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, "of the middleware")))
			return
		}
		fmt.Fprintf(w, "REST over %s", r.Proto)
	}))
	hs.EnableHTTP2 = true
	creds := insecure.NewCredentials()
	if secure {
		hs.StartTLS()
		pool := hs.Client().Transport.(*http.Transport).TLSClientConfig
		creds = credentials.NewTLS(&tls.Config{RootCAs: pool.RootCAs, ServerName: "example.com", MinVersion: tls.VersionTLS12})
	} else {
		hs.Config.Protocols = new(http.Protocols)
		hs.Config.Protocols.SetHTTP1(true)
		hs.Config.Protocols.SetUnencryptedHTTP2(true)
		hs.Start()
	}
	p.url, p.web, p.address = hs.URL, hs.Client(), hs.Listener.Addr().String()
	ours, err := weir.NewClient("passthrough:///"+p.address, weir.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := grpc.NewClient("passthrough:///"+p.address, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	p.clients["weir"], p.clients["grpc-go"] = testpb.NewTestServiceClient(ours), testpb.NewTestServiceClient(theirs)
	t.Cleanup(func() {
		_ = ours.Close()
		_ = theirs.Close()
		p.srv.Stop()
		hs.Close()
	})
	return p
}

func payload(n int) *testpb.Payload { return &testpb.Payload{Body: bytes.Repeat([]byte("x"), n)} }

// Calls of either client, and requests of a browser, on one port.
//
// Feature: gRPC behind net/http on one port.
func TestOnePort(t *testing.T) {
	onPort(t, func(t *testing.T, p *port) {
		for name, c := range p.clients {
			for _, n := range []int{0, 10, 100_000, 3_000_000} {
				out, err := c.UnaryCall(t.Context(), &testpb.SimpleRequest{Payload: payload(n)})
				if err != nil || len(out.GetPayload().GetBody()) != n {
					t.Errorf("%s: %d octets: got %d, %v", name, n, len(out.GetPayload().GetBody()), err)
				}
			}
			out, err := c.UnaryCall(t.Context(), &testpb.SimpleRequest{Payload: payload(10_000)}, grpc.UseCompressor(gzip.Name))
			if err != nil || len(out.GetPayload().GetBody()) != 10_000 {
				t.Errorf("%s, compressed: %v", name, err)
			}
		}
		resp, err := p.web.Get(p.url + "/shelf")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if text, err := io.ReadAll(resp.Body); err != nil || !strings.HasPrefix(string(text), "REST over HTTP/") {
			t.Errorf("got %q, %v", text, err)
		}
	})
}

// "A field value MUST NOT start or end with an ASCII whitespace character".
// https://www.rfc-editor.org/rfc/rfc9113#section-8.2.1
func TestSpacesOfValues(t *testing.T) {
	onPort(t, func(t *testing.T, p *port) {
		p.service.unaryIs(func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			return new(testpb.SimpleResponse), errors.Join(
				grpc.SetHeader(ctx, metadata.Pairs("k", "  header ", "k-bin", " bin ")),
				grpc.SetTrailer(ctx, metadata.Pairs("k", " trailer  ")))
		})
		for name, c := range p.clients {
			var header, trailer metadata.MD
			if _, err := c.UnaryCall(t.Context(), new(testpb.SimpleRequest), grpc.Header(&header), grpc.Trailer(&trailer)); err != nil {
				t.Fatal(err)
			}
			if header.Get("k")[0] != "header" || trailer.Get("k")[0] != "trailer" || header.Get("k-bin")[0] != " bin " {
				t.Errorf("%s: header %q, trailer %q", name, header, trailer)
			}
		}
	})
}

// Each message leaves at once, and half-close, header, trailer and status are
// what they are over a weir Server's own port.
func TestStream(t *testing.T) {
	onPort(t, func(t *testing.T, p *port) {
		p.service.streamIs(func(s duplex) error {
			_ = s.SetHeader(metadata.Pairs("x-header", "1", "x-bin", "\x00\xff"))
			s.SetTrailer(metadata.Pairs("x-trailer", "2", "x-trailer", "3", "y-bin", "\x01"))
			for {
				in, err := s.Recv()
				if err == io.EOF {
					st, _ := status.New(codes.DataLoss, "the end: äöü").WithDetails(durationpb.New(time.Second))
					return st.Err()
				}
				if err != nil {
					return err
				}
				if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
					return err
				}
			}
		})
		for name, c := range p.clients {
			s, err := c.FullDuplexCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for i := range 5 {
				if err := s.Send(&testpb.StreamingOutputCallRequest{Payload: payload(i * 1000)}); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if out, err := s.Recv(); err != nil || len(out.GetPayload().GetBody()) != i*1000 {
					t.Fatalf("%s: %v", name, err)
				}
			}
			_ = s.CloseSend()
			_, err = s.Recv()
			if st := status.Convert(err); st.Code() != codes.DataLoss || st.Message() != "the end: äöü" || len(st.Details()) != 1 {
				t.Errorf("%s: %v", name, err)
			}
			header, err := s.Header()
			if err != nil || strings.Join(header.Get("x-header"), " ") != "1" || strings.Join(header.Get("x-bin"), " ") != "\x00\xff" || header.Get("date") != nil {
				t.Errorf("%s: header %q, %v", name, header, err)
			}
			if trailer := s.Trailer(); strings.Join(trailer.Get("x-trailer"), " ") != "2 3" || trailer.Get("y-bin")[0] != "\x01" {
				t.Errorf("%s: trailer %q", name, trailer)
			}
		}
	})
}

// What a handler knows of its call.
func TestHandlerContext(t *testing.T) {
	onPort(t, func(t *testing.T, p *port) {
		type seen struct {
			md   metadata.MD
			who  *peer.Peer
			left time.Duration
		}
		calls := make(chan seen, 1)
		p.service.unaryIs(func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			md, _ := metadata.FromIncomingContext(ctx)
			who, _ := peer.FromContext(ctx)
			deadline, _ := ctx.Deadline()
			calls <- seen{md, who, time.Until(deadline)}
			method, _ := grpc.Method(ctx)
			return new(testpb.SimpleResponse), errors.Join(grpc.SetHeader(ctx, metadata.Pairs("x-method", method)), grpc.SetTrailer(ctx, metadata.Pairs("x-end", "1")))
		})
		for name, c := range p.clients {
			ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "k", "v1", "k", "v2", "k-bin", "\x00,"), time.Minute)
			defer cancel()
			var header, trailer metadata.MD
			if _, err := c.UnaryCall(ctx, new(testpb.SimpleRequest), grpc.Header(&header), grpc.Trailer(&trailer)); err != nil {
				t.Fatal(err)
			}
			got := <-calls
			md, who, left := got.md, got.who, got.left
			if strings.Join(md.Get("k"), " ") != "v1 v2" || strings.Join(md.Get("k-bin"), " ") != "\x00," || md.Get(":authority") == nil || md.Get("te") != nil || md.Get("grpc-timeout") != nil {
				t.Errorf("%s: metadata %q", name, md)
			}
			if _, port, err := net.SplitHostPort(who.Addr.String()); err != nil || port == "" || who.LocalAddr.String() != p.address {
				t.Errorf("%s: peer %v", name, who)
			}
			if secure := strings.HasPrefix(p.url, "https"); secure != (who.AuthInfo != nil) {
				t.Errorf("%s: AuthInfo %v", name, who.AuthInfo)
			}
			if left <= 50*time.Second || left > time.Minute {
				t.Errorf("%s: the deadline is in %v", name, left)
			}
			if header.Get("x-method")[0] != "/grpc.testing.TestService/UnaryCall" || trailer.Get("x-end")[0] != "1" {
				t.Errorf("%s: header %q, trailer %q", name, header, trailer)
			}
		}
	})
}

// A call without headers and messages is answered in one piece.
func TestTrailersOnly(t *testing.T) {
	onPort(t, func(t *testing.T, p *port) {
		p.service.streamIs(func(s duplex) error {
			s.SetTrailer(metadata.Pairs("x-trailer", "1"))
			return status.Error(codes.NotFound, "not here")
		})
		for name, c := range p.clients {
			s, err := c.FullDuplexCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err = s.Recv(); status.Code(err) != codes.NotFound || s.Trailer().Get("x-trailer")[0] != "1" {
				t.Errorf("%s: %v, %v", name, err, s.Trailer())
			}
			_, err = c.UnimplementedCall(t.Context(), new(testpb.Empty))
			if status.Code(err) != codes.Unimplemented {
				t.Errorf("%s: a method that is not there: %v", name, err)
			}
		}
	})
}

// Requests that are not gRPC's are told so in HTTP's terms.
func TestNotGRPC(t *testing.T) {
	onPort(t, func(t *testing.T, p *port) {
		h1 := &http.Transport{Protocols: new(http.Protocols)}
		h1.Protocols.SetHTTP1(true)
		if cfg := p.web.Transport.(*http.Transport).TLSClientConfig; cfg != nil {
			h1.TLSClientConfig = &tls.Config{RootCAs: cfg.RootCAs, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
		}
		defer h1.CloseIdleConnections()
		h2 := p.web.Transport
		if !strings.HasPrefix(p.url, "https") {
			protocols := new(http.Protocols)
			protocols.SetUnencryptedHTTP2(true)
			tr := &http.Transport{Protocols: protocols}
			defer tr.CloseIdleConnections()
			h2 = tr
		}
		for _, tt := range []struct {
			name   string
			via    http.RoundTripper
			method string
			header http.Header
			want   int
			word   string
		}{
			{"GET", h2, http.MethodGet, http.Header{"Content-Type": {"application/grpc"}}, 405, "POST"},
			{"JSON", h2, http.MethodPost, http.Header{"Content-Type": {"application/json"}}, 415, "application/json"},
			{"HTTP/1", h1, http.MethodPost, http.Header{"Content-Type": {"application/grpc"}}, 505, "HTTP/2"},
			{"timeout", h2, http.MethodPost, http.Header{"Content-Type": {"application/grpc"}, "Grpc-Timeout": {"soon"}}, 400, "soon"},
		} {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, p.url+"/rpc-only", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header = tt.header
			resp, err := tt.via.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != tt.want || !strings.Contains(string(text), tt.word) || resp.Header.Get("Grpc-Status") != "13" {
				t.Errorf("%s: got %s, %q, %v", tt.name, resp.Status, text, resp.Header)
			}
		}
	})
}
