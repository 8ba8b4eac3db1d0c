package h2peer_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
)

// TestPeer shows how a test with a scripted peer is written. Its subject is
// the HTTP/2 implementation of golang.org/x/net; with weir's transport as the
// subject the scripts look the same.
func TestPeer(t *testing.T) {
	t.Run("plays the client", func(t *testing.T) {
		// The bubble makes time fake, and lets WantIdle know when the subject
		// has nothing more to do.
		synctest.Test(t, func(t *testing.T) {
			near, far := simnet.Pipe(simnet.Link{RTT: 10 * time.Millisecond})
			go serveHTTP(far, http.HandlerFunc(echo))

			// From here on the peer owns its end, and closes it when the test
			// ends.
			p := h2peer.NewClient(t, near)

			// Prefaces, SETTINGS and their acknowledgements. The argument is
			// ours; what the subject announced is in p.Settings then.
			p.Handshake(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
			if p.Settings[http2.SettingMaxFrameSize] == 0 {
				t.Error("the server announced no SETTINGS_MAX_FRAME_SIZE")
			}

			// net/http grants credit when it likes. That is not what this test
			// is about, so those frames may come anywhere.
			p.Ignore(http2.FrameWindowUpdate)

			// A request with one message of five octets, which end the stream.
			p.WriteRequest(1, "/echo.Echo/Say", []byte("hello"), true)

			// Frames have to come in this order, with nothing in between. What a
			// step says in its sentence is what a failure shows first.
			h := p.WantHeaders("the server answers", 1)
			if h.Get(":status") != "200" || h.Get("content-type") != "application/grpc" {
				t.Errorf("headers are %v", h)
			}
			if got := p.WantMessage("it echoes the message, which just fits the window", 1); string(got) != "hello" {
				t.Errorf("echo of %q", got)
			}
			p.WantTrailers("and is fine", 1, codes.OK)

			// Eleven octets are one more than the window of a stream.
			p.WriteRequest(3, "/echo.Echo/Say", []byte("hello!"), true)
			p.WantHeaders("the server answers again", 3)
			if d := p.WantData("it sends what the window allows", 3); d.Length != 10 || d.EndStream {
				t.Errorf("%d octets, end of stream: %t", d.Length, d.EndStream)
			}

			// On a link with a round-trip time, give the subject some before
			// saying that nothing comes.
			simnet.Advance(time.Second)
			p.WantIdle("the server waits for credit")
			p.WriteWindowUpdate(3, 1)
			if d := p.WantData("then it sends the rest", 3); string(d.Data) != "!" {
				t.Errorf("the rest is %q", d.Data)
			}
			p.WantTrailers("and is fine", 3, codes.OK)

			// What no client may do can be played as well.
			p.WriteWindowUpdate(0, 0)
			p.WantGoAway("a zero increment is an error of the connection", http2.ErrCodeProtocol)
			p.WantClosed("and its end")
		})
	})

	t.Run("plays the server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			near, far := simnet.Pipe(simnet.Link{})
			p := h2peer.NewServer(t, near)

			// The subject runs beside the script.
			status := make(chan string, 1)
			go func() { status <- callHTTP(t.Context(), far) }()

			p.Handshake()
			p.Ignore(http2.FrameWindowUpdate)
			h := p.WantHeaders("the client sends a request", 1)
			if h.Get(":path") != "/echo.Echo/Say" {
				t.Errorf("the request is %v", h)
			}
			p.WriteResponse(1, []byte("hi"))
			p.WriteTrailers(1, codes.NotFound, "nobody is here")
			if got := <-status; got != "5: nobody is here" {
				t.Errorf("the client saw %q", got)
			}
			p.WantIdle("the client has nothing to say")
		})
	})
}

// echo answers with the octets of the request, and the status OK.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("content-type", "application/grpc")
	w.Header().Set(http.TrailerPrefix+"grpc-status", "0")
	w.WriteHeader(http.StatusOK)
	io.Copy(w, r.Body)
}

// serveHTTP has x/net serve one connection until it ends.
func serveHTTP(nc net.Conn, handler http.Handler) {
	server := new(http2.Server)
	base := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	if err := http2.ConfigureServer(base, server); err != nil {
		panic(err)
	}
	server.ServeConn(nc, &http2.ServeConnOpts{BaseConfig: base, Handler: handler})
}

// callHTTP has x/net make one call over nc, and gives status and message.
func callHTTP(ctx context.Context, nc net.Conn) string {
	cc, err := new(http2.Transport).NewClientConn(nc)
	if err != nil {
		return err.Error()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://h2peer/echo.Echo/Say", nil)
	if err != nil {
		return err.Error()
	}
	resp, err := cc.RoundTrip(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err.Error()
	}
	return resp.Trailer.Get("grpc-status") + ": " + resp.Trailer.Get("grpc-message")
}
