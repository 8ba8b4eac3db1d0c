package servehttp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/servehttp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// A ResponseWriter of a middleware that hides what it wraps, as many do: some
// flush, some do not.
type (
	hiding   struct{ w http.ResponseWriter }
	flushing struct{ hiding }
)

func (h hiding) Header() http.Header         { return h.w.Header() }
func (h hiding) Write(p []byte) (int, error) { return h.w.Write(p) }
func (h hiding) WriteHeader(code int)        { h.w.WriteHeader(code) }
func (f flushing) Flush()                    { f.w.(http.Flusher).Flush() }

// behind gives a Client of a Server whose ResponseWriters are wrapped.
func behind(t *testing.T, s *service, wrap func(http.ResponseWriter) http.ResponseWriter) (*weir.Server, testpb.TestServiceClient) {
	t.Helper()
	srv := weir.NewServer()
	testpb.RegisterTestServiceServer(srv, s)
	rpc := servehttp.Handler(srv)
	hs := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { rpc.ServeHTTP(wrap(w), r) }))
	hs.Config.Protocols = new(http.Protocols)
	hs.Config.Protocols.SetUnencryptedHTTP2(true)
	hs.Start()
	c, err := weir.NewClient("passthrough:///"+hs.Listener.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		srv.Stop()
		hs.Close()
	})
	return srv, testpb.NewTestServiceClient(c)
}

// Stop reaches a handler that receives, though the ResponseWriter has no
// deadlines.
func TestWrapped_StopEndsRecv(t *testing.T) {
	s, begun, got := new(service), make(chan struct{}), make(chan error, 1)
	s.streamIs(func(ss duplex) error {
		_ = ss.Send(new(testpb.StreamingOutputCallResponse))
		close(begun)
		_, err := ss.Recv()
		got <- err
		return err
	})
	srv, c := behind(t, s, func(w http.ResponseWriter) http.ResponseWriter { return flushing{hiding{w}} })
	cs, err := c.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	srv.Stop()
	if err := <-got; status.Code(err) != codes.Unavailable {
		t.Errorf("Recv gave %v", err)
	}
	for err == nil {
		_, err = cs.Recv()
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("the client got %v", err)
	}
}

// A ResponseWriter that cannot flush is no client that has left.
func TestWrapped_WithoutFlush_SaysSo(t *testing.T) {
	s := new(service)
	s.streamIs(func(ss duplex) error { return ss.Send(new(testpb.StreamingOutputCallResponse)) })
	_, c := behind(t, s, func(w http.ResponseWriter) http.ResponseWriter { return hiding{w} })
	cs, err := c.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = cs.Recv()
	}
	if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "Flush") {
		t.Errorf("the client got %v, want what is wrong with the server", err)
	}
	if _, err := c.UnaryCall(t.Context(), new(testpb.SimpleRequest)); err != nil {
		t.Errorf("a unary call needs no flush: %v", err)
	}
}
