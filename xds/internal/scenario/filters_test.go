package scenario

import (
	"io"
	"testing"
	"time"

	"github.com/weir-rpc/weir/xds/internal/controlplane"
	"github.com/weir-rpc/weir/xds/internal/fleet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Behind a filter that does not end it a call is what it is without: it is retried,
// its options are told what came and how it ended, once, and streams go both ways.
func TestFilters_LeaveCallsAsTheyAre(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		a := fleet.Start(t, "a")
		config := simple(controlplane.Cluster{Name: "one", Localities: controlplane.At(a.Addr())})
		config.Listeners[0].Fault = &controlplane.Fault{Delay: time.Microsecond}
		config.Listeners[0].Routes[0].Retry = &controlplane.Retry{On: "unavailable", Retries: 1, Base: time.Millisecond}
		w.start(config)
		client := testpb.NewTestServiceClient(w.cc)

		for _, c := range []struct {
			name string
			fail int
			code codes.Code
			want int // attempts
		}{
			{"answered", 0, codes.OK, 1},
			{"answered the second time", 1, codes.OK, 2},
			{"failed", 2, codes.Unavailable, 2},
		} {
			a.Fail(c.fail, codes.Unavailable)
			before := a.Calls()
			var header, trailer metadata.MD
			var from peer.Peer
			var ends []error
			_, err := client.UnaryCall(w.within(), new(testpb.SimpleRequest), grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&from),
				grpc.OnFinish(func(err error) { ends = append(ends, err) }))
			if n := a.Calls() - before; status.Code(err) != c.code || n != c.want {
				t.Errorf("%s: %v after %d attempts, want %v after %d", c.name, err, n, c.code, c.want)
			}
			if len(ends) != 1 || status.Code(ends[0]) != c.code {
				t.Errorf("%s: it ended %d times: %v", c.name, len(ends), ends)
			}
			if from.Addr == nil || from.Addr.String() != a.Addr() {
				t.Errorf("%s: by %v", c.name, from.Addr)
			}
			if c.code == codes.OK && (len(header["served-by"]) != 1 || len(trailer["served-by"]) != 1) {
				t.Errorf("%s: header %v, trailer %v", c.name, header, trailer)
			}
		}

		st, err := client.FullDuplexCall(w.within())
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := st.Send(new(testpb.StreamingOutputCallRequest)); err != nil {
				t.Fatal(err)
			}
			if r, err := st.Recv(); err != nil || string(r.GetPayload().GetBody()) != "a" {
				t.Errorf("the stream says %v, %v", r, err)
			}
		}
		if err := st.CloseSend(); err != nil {
			t.Error(err)
		}
		if _, err := st.Recv(); err != io.EOF {
			t.Errorf("the stream ends with %v", err)
		}
	})
}
