package ecosystem

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/grpcconn"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// store is etcd's, of one revision.
type store struct {
	etcdserverpb.UnimplementedKVServer
	etcdserverpb.UnimplementedWatchServer
	mu     sync.Mutex
	values map[string][]byte
}

func (s *store) Put(_ context.Context, in *etcdserverpb.PutRequest) (*etcdserverpb.PutResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[string(in.Key)] = in.Value
	return &etcdserverpb.PutResponse{}, nil
}

func (s *store) Range(_ context.Context, in *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[string(in.Key)]
	if !ok {
		return &etcdserverpb.RangeResponse{}, nil
	}
	return &etcdserverpb.RangeResponse{Kvs: []*mvccpb.KeyValue{{Key: in.Key, Value: v}}, Count: 1}, nil
}

func (s *store) Watch(w etcdserverpb.Watch_WatchServer) error {
	for {
		in, err := w.Recv()
		if err != nil {
			return err
		}
		key := in.GetCreateRequest().GetKey()
		if err := w.Send(&etcdserverpb.WatchResponse{Created: true, Events: []*mvccpb.Event{{Kv: &mvccpb.KeyValue{Key: key}}}}); err != nil {
			return err
		}
	}
}

// Feature: Old stubs that demand *grpc.ClientConn
//
// etcd's stubs are generated in the way of 2019, with messages of gogo/protobuf:
// they take a *grpc.ClientConn and a *grpc.Server, and nothing else.
func TestEtcdStubs_DemandAClientConn(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, s := grpc.NewServer(), &store{values: make(map[string][]byte)}
	etcdserverpb.RegisterKVServer(srv, s)
	etcdserverpb.RegisterWatchServer(srv, s)
	start(t, srv, lis)

	conn, err := grpcconn.New(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	kv := etcdserverpb.NewKVClient(conn)
	if _, err := kv.Put(t.Context(), &etcdserverpb.PutRequest{Key: []byte("k"), Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	got, err := kv.Range(t.Context(), &etcdserverpb.RangeRequest{Key: []byte("k")})
	if err != nil || got.Count != 1 || string(got.Kvs[0].Value) != "v" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := kv.Compact(t.Context(), &etcdserverpb.CompactionRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("a method that the server has not: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w, err := etcdserverpb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	request := &etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{CreateRequest: &etcdserverpb.WatchCreateRequest{Key: []byte("k")}}}
	if err := w.Send(request); err != nil {
		t.Fatal(err)
	}
	if in, err := w.Recv(); err != nil || len(in.Events) != 1 || string(in.Events[0].Kv.Key) != "k" {
		t.Errorf("%v, %v", in, err)
	}
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if !conn.WaitForStateChange(t.Context(), state) {
			t.Fatalf("the conn is %v", state)
		}
	}
}
