package ecosystem

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weir-rpc/weir"
	"golang.org/x/net/trace"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/stats"
)

// traces is the stats handler that shows calls on /debug/requests, as
// grpc.EnableTracing does for grpc-go's own: one family for each service and
// side.
type traces string

func (t traces) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	service, _, _ := strings.Cut(strings.TrimPrefix(info.FullMethodName, "/"), "/")
	return trace.NewContext(ctx, trace.New("grpc."+string(t)+"."+service, info.FullMethodName))
}

func (traces) HandleRPC(ctx context.Context, s stats.RPCStats) {
	tr, ok := trace.FromContext(ctx)
	if !ok {
		return
	}
	switch s := s.(type) {
	case *stats.OutPayload:
		tr.LazyPrintf("sent %d octets", s.Length)
	case *stats.InPayload:
		tr.LazyPrintf("received %d octets", s.Length)
	case *stats.End:
		if s.Error != nil {
			tr.LazyPrintf("ended: %v", s.Error)
			tr.SetError()
		}
		tr.Finish()
	}
}

func (traces) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (traces) HandleConn(context.Context, stats.ConnStats) {}

// Feature: x/net/trace
//
// A stats handler of a few lines shows the calls of both sides on
// /debug/requests, what they sent and how they ended.
func TestNetTrace(t *testing.T) {
	srv := weir.NewServer(weir.StatsHandler(traces("Recv")))
	testgrpc.RegisterTestServiceServer(srv, service{})
	lis := listen(t)
	stop := start(t, srv, lis)
	cc, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithStatsHandler(traces("Sent")))
	if err != nil {
		t.Fatal(err)
	}
	client := testgrpc.NewTestServiceClient(cc)
	if _, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: make([]byte, 996)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.EmptyCall(t.Context(), &testgrpc.Empty{}); err == nil {
		t.Fatal("a method that is not there succeeded")
	}
	_ = cc.Close()
	stop()
	for family, want := range map[string][]string{
		"Sent": {"/grpc.testing.TestService/UnaryCall", "sent 1002 octets", "received 1002 octets"},
		"Recv": {"/grpc.testing.TestService/UnaryCall", "sent 1002 octets", "received 1002 octets"},
	} {
		shown := requests("0", family) // all that have ended
		for _, s := range want {
			if !strings.Contains(shown, s) {
				t.Errorf("%s shows no %q:\n%s", family, s, shown)
			}
		}
		if failed := requests("8", family); !strings.Contains(failed, "/grpc.testing.TestService/EmptyCall") || !strings.Contains(failed, "ended: rpc error: code = Unimplemented") || strings.Contains(failed, "UnaryCall") {
			t.Errorf("%s shows of calls that failed:\n%s", family, failed)
		}
	}
}

// requests gives what /debug/requests shows of a bucket of the service's calls.
func requests(bucket, side string) string {
	var page bytes.Buffer
	trace.Render(&page, httptest.NewRequest(http.MethodGet, "/debug/requests?exp=1&b="+bucket+"&fam=grpc."+side+".grpc.testing.TestService", nil), true)
	return page.String()
}
