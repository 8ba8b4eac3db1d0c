package transport

import (
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc/credentials"
)

// Row C17: a connection over TLS holds no read buffer while it waits for a
// frame: with a call open, and with one that was answered while it waited.
func TestSecured_Waits_WithoutBuffer(t *testing.T) {
	cert := certificate(t)
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		cfg := ConnConfig{AuthInfo: credentials.TLSInfo{}}
		server := make(chan *http2Server, 1)
		finish := make(chan struct{})
		result := async(func() error {
			nc := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
			sv, err := NewServerTransport(nc, ServerConfig{ConnConfig: cfg, Unary: unaryMethods})
			if err != nil {
				return err
			}
			server <- sv.(*http2Server)
			return sv.HandleStreams(t.Context(), func(st *ServerStream) {
				<-finish
				echoUnary(st)
			})
		})
		// The certificate is of another time than the bubble's.
		nc := tls.Client(a, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		ct, err := NewHTTP2Client(t.Context(), nc, ClientConfig{ConnConfig: cfg})
		if err != nil {
			t.Fatal(err)
		}
		sv := <-server
		without := func(when string) {
			t.Helper()
			synctest.Wait()
			if c := &ct.(*http2Client).conn; c.readBuf != nil || sv.readBuf != nil {
				t.Errorf("%s the client has a buffer: %v, the server: %v", when, c.readBuf != nil, sv.readBuf != nil)
			}
		}
		without("before the first call")
		for _, size := range []int{0, 10, 20_000, 1_000_000} {
			msg := strings.Repeat("x", size)
			call := roundTrip(t.Context(), ct, msg)
			without("while a call is open")
			finish <- struct{}{}
			call.want(t, msg)
			without("after it")
		}
		ct.Close("the test is over")
		<-result
	})
}
