package weir_test

import (
	"sync"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// lender is a pool that knows what it has lent, and spoils what comes back.
type lender struct {
	mu   sync.Mutex
	lent int // now
	gets int
}

func (l *lender) Get(n int) *[]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lent++
	l.gets++
	b := make([]byte, n)
	return &b
}

func (l *lender) Put(b *[]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lent--
	for i := range *b {
		(*b)[i] = 0xff
	}
}

// hoarder is a codec that keeps what it gets, by a reference.
type hoarder struct {
	mu   sync.Mutex
	kept []mem.BufferSlice
}

func (*hoarder) Name() string { return "proto" }

func (*hoarder) Marshal(v any) (mem.BufferSlice, error) {
	b, err := proto.Marshal(v.(proto.Message))
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

func (h *hoarder) Unmarshal(data mem.BufferSlice, v any) error {
	data.Ref()
	h.mu.Lock()
	h.kept = append(h.kept, data)
	h.mu.Unlock()
	return proto.Unmarshal(data.Materialize(), v.(proto.Message))
}

// spoiled counts the messages that it keeps and cannot read any more, and lets
// all go.
func (h *hoarder) spoiled() (n int) {
	for _, data := range h.kept {
		if proto.Unmarshal(data.Materialize(), new(testpb.SimpleRequest)) != nil {
			n++
		}
		data.Free()
	}
	return n
}

// Feature: Buffer pools of one's own
//
// Codecs of the second kind get messages in the memory of the pool, which has it
// back when they let it go, and not before; without the option it has nothing to
// do.
func TestBufferPool(t *testing.T) {
	client, server, unused := new(lender), new(lender), new(lender)
	keeper := new(hoarder)
	lis := listen(t)
	srv := weir.NewServer(weir.BufferPool(server), weir.ForceServerCodecV2(keeper))
	testpb.RegisterTestServiceServer(srv, echo{})
	background(t, srv, lis)
	call := func(c *weir.Client, opts ...grpc.CallOption) {
		t.Helper()
		body := make([]byte, 10_000)
		got, err := testpb.NewTestServiceClient(c).UnaryCall(t.Context(), &testpb.SimpleRequest{ResponseSize: int32(len(body)), Payload: &testpb.Payload{Body: body}}, opts...)
		if err != nil || len(got.GetPayload().GetBody()) != len(body) {
			t.Errorf("%d octets, %v", len(got.GetPayload().GetBody()), err)
		}
	}
	call(newWeirClient(t, lis.Addr().String(), weir.WithBufferPool(client)), grpc.ForceCodecV2(keeper))
	call(newWeirClient(t, lis.Addr().String(), weir.WithBufferPool(unused)))
	for l, want := range map[*lender]int{client: 1, server: 2, unused: 0} {
		if l.gets != want || l.lent != want {
			t.Errorf("%d buffers were lent and %d are kept, want %d", l.gets, l.lent, want)
		}
	}
	if n := keeper.spoiled(); n > 0 {
		t.Errorf("%d messages that the codec keeps were taken away", n)
	}
	if client.lent+server.lent != 0 {
		t.Errorf("%d and %d buffers are not given back", client.lent, server.lent)
	}
}
