package inproc_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A connection within the process is one of its server like any other: a handler
// finds it, its calls are counted, it drains alone, and Raw messages pass it.
func TestServerConn(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		var found *weir.ServerConn
		w.stream = func(s grpc.ServerStream) error {
			found, _ = weir.ServerConnFromContext(s.Context())
			m := new(weir.Raw)
			defer m.Free()
			for {
				if err := s.RecvMsg(m); err == io.EOF {
					return nil
				} else if err != nil {
					return err
				}
				if err := s.SendMsg(m); err != nil {
					return err
				}
			}
		}
		open := func() grpc.ClientStream {
			t.Helper()
			s, err := w.client.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, streamMethod)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		exchange := func(s grpc.ClientStream) {
			t.Helper()
			m := weir.NewRaw([]byte("\xffoctets"))
			defer m.Free()
			if err := s.SendMsg(m); err != nil || m.Len() != 0 {
				t.Errorf("SendMsg: %v, %d octets are left", err, m.Len())
			}
			if err := s.RecvMsg(m); err != nil || string(m.Bytes()) != "\xffoctets" {
				t.Errorf("RecvMsg: %v, %q", err, m.Bytes())
			}
		}
		s := open()
		exchange(s)
		all := w.srv.Conns()
		if len(all) != 1 || found != all[0] || found != w.srv.Conn(found.ID()) {
			t.Fatalf("the server has %v, the handler %v", all, found)
		}
		first := found
		if n := first.OpenCalls(); n != 1 || first.State() != weir.ConnReady || first.Peer().Addr == nil {
			t.Errorf("%d calls, %v, of %v", n, first.State(), first.Peer())
		}
		first.Drain("elsewhere")
		simnet.Advance(time.Second)
		exchange(s)
		if first.State() != weir.ConnDraining {
			t.Errorf("the first connection is %v", first.State())
		}
		second := open()
		exchange(second)
		if found == first {
			t.Error("a call after Drain came by the same connection")
		}
		if err := s.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if err := s.RecvMsg(new(weir.Raw)); err != io.EOF {
			t.Errorf("the call that was open: %v", err)
		}
		simnet.Advance(time.Minute)
		if first.State() != weir.ConnClosed || first.Err() == nil || first.OpenCalls() != 0 {
			t.Errorf("the first connection is %v, with %v", first.State(), first.Err())
		}
		found.Close("enough")
		if err := second.RecvMsg(new(weir.Raw)); status.Code(err) != codes.Unavailable {
			t.Errorf("a call that Close has ended: %v", err)
		}
		synctest.Wait()
		if n := len(w.srv.Conns()); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}
