package lookaside

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/pickfirst"
	_ "google.golang.org/grpc/balancer/rls" // registers it
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/serviceconfig"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// named is a balancer for one address, which is in its configuration: what RLS has
// for each target.
type named struct{ balancer.Builder }

type namedConfig struct {
	serviceconfig.LoadBalancingConfig `json:"-"`

	Address string
}

func (named) Name() string { return "weir_test_named" }

// ParseConfig is balancer.ConfigParser's.
func (named) ParseConfig(js json.RawMessage) (serviceconfig.LoadBalancingConfig, error) {
	c := new(namedConfig)
	return c, json.Unmarshal(js, c)
}

// Build is balancer.Builder's.
func (n named) Build(cc balancer.ClientConn, o balancer.BuildOptions) balancer.Balancer {
	return &one{n.Builder.Build(cc, o)}
}

type one struct{ balancer.Balancer }

// UpdateClientConnState is balancer.Balancer's.
func (o *one) UpdateClientConnState(s balancer.ClientConnState) error {
	a := resolver.Address{Addr: s.BalancerConfig.(*namedConfig).Address}
	return o.Balancer.UpdateClientConnState(balancer.ClientConnState{ResolverState: resolver.State{
		Addresses: []resolver.Address{a}, Endpoints: []resolver.Endpoint{{Addresses: []resolver.Address{a}}},
	}})
}

// octets is a codec for messages whose Go types nobody outside grpc-go can have.
type octets struct{}

func (octets) Name() string { return "proto" }

func (octets) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (octets) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

var _ encoding.CodecV2 = octets{}

// routes is a route lookup service that sends each user to one server. The key is
// the only one that the configuration has.
func routes(t *testing.T, asked *atomic.Int64, servers map[string]string) string {
	t.Helper()
	srv := grpc.NewServer(grpc.Creds(insecure.NewCredentials()), grpc.ForceServerCodecV2(octets{}),
		grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
			var in []byte
			if err := s.RecvMsg(&in); err != nil {
				return err
			}
			asked.Add(1)
			server, ok := servers[user(in)]
			if !ok {
				return status.Error(codes.NotFound, "nobody has that name")
			}
			return s.SendMsg(protowire.AppendString(protowire.AppendTag(nil, 3, protowire.BytesType), server))
		}))
	return serve(t, srv)
}

// user is the value of the key in a RouteLookupRequest: key_map is field 4, and an
// entry of it has the value in field 2.
func user(request []byte) (value string) {
	fields(request, func(n protowire.Number, v []byte) {
		if n == 4 {
			fields(v, func(n protowire.Number, v []byte) {
				if n == 2 {
					value = string(v)
				}
			})
		}
	})
	return value
}

// fields gives those that are octets.
func fields(m []byte, f func(n protowire.Number, v []byte)) {
	for len(m) > 0 {
		n, typ, head := protowire.ConsumeTag(m)
		if head < 0 {
			return
		}
		size := protowire.ConsumeFieldValue(n, typ, m[head:])
		if size < 0 {
			return
		}
		if typ == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(m[head:])
			f(n, v)
		}
		m = m[head+size:]
	}
}

// Feature: RLS
//
// A lookup service says of each user to which server the calls go; what it has said
// is remembered.
func TestRLS(t *testing.T) {
	balancer.Register(named{balancer.Get(pickfirst.Name)})
	all := backends(t, 3)
	var asked atomic.Int64
	at := routes(t, &asked, map[string]string{"ann": all[0], "bob": all[1]})
	c := client(t, resolver.State{Addresses: []resolver.Address{{Addr: "127.0.0.1:1"}}}, fmt.Sprintf(`{"loadBalancingConfig": [{"rls_experimental": {
		"routeLookupConfig": {
			"grpcKeybuilders": [{
				"names": [{"service": "grpc.testing.TestService"}],
				"headers": [{"key": "user", "names": ["x-user"]}]
			}],
			"lookupService": "passthrough:///%s",
			"lookupServiceTimeout": "10s",
			"maxAge": "300s",
			"staleAge": "240s",
			"cacheSizeBytes": 10000,
			"defaultTarget": %q
		},
		"childPolicy": [{"weir_test_named": {}}],
		"childPolicyConfigTargetFieldName": "Address"
	}}]}`, at, all[2]))
	for range 10 {
		for name, want := range map[string]string{"ann": all[0], "bob": all[1]} {
			if got := whom(metadata.AppendToOutgoingContext(t.Context(), "x-user", name), t, c); got != want {
				t.Errorf("a call of %s went to %s, want %s", name, got, want)
			}
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the service was asked %d times for two users", n)
	}
	if got := whom(metadata.AppendToOutgoingContext(t.Context(), "x-user", "eve"), t, c); got != all[2] {
		t.Errorf("a call of whom the service does not know went to %s, want the default %s", got, all[2])
	}
}
