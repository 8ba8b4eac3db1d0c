package transport

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir/internal/frame"
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
			return sv.HandleStreams(t.Context(), func(st ServerStream) {
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

// scratchReads counts the reads that ask for no more than a frame header.
type scratchReads struct {
	net.Conn
	n int // owned by the reader
}

func (s *scratchReads) Read(b []byte) (int, error) {
	if len(b) <= frame.HeaderLen {
		s.n++
	}
	return s.Conn.Read(b)
}

// Over TLS a frame of a large message is a record, and read in one piece.
func TestSecured_LargeMessage_IsReadWithBuffer(t *testing.T) {
	cert := certificate(t)
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		cfg := ConnConfig{AuthInfo: credentials.TLSInfo{}}
		result := async(func() error {
			nc := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
			sv, err := NewServerTransport(nc, ServerConfig{ConnConfig: cfg, Unary: unaryMethods})
			if err != nil {
				return err
			}
			return sv.HandleStreams(t.Context(), echoUnary)
		})
		nc := &scratchReads{Conn: tls.Client(a, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})}
		ct, err := NewHTTP2Client(t.Context(), nc, ClientConfig{ConnConfig: cfg})
		if err != nil {
			t.Fatal(err)
		}
		msg := strings.Repeat("x", 3_000_000)
		call := roundTrip(t.Context(), ct, msg)
		call.want(t, msg)
		ct.Close("the test is over")
		<-result
		// The server's control frames, which come between, are waited for without.
		if frames := len(msg) / frame.DefaultMaxSize; nc.n > frames/2 {
			t.Errorf("%d frames took %d reads of a frame header", frames, nc.n)
		}
	})
}
