package ecosystem

import (
	"slices"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/admin"
	channelzpb "google.golang.org/grpc/channelz/grpc_channelz_v1"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
)

// Feature: health checking service
//
// A watcher of grpc-go's health service hears each change, whoever the client
// is.
func TestHealth_Watch(t *testing.T) {
	srv := weir.NewServer()
	states := health.NewServer()
	healthpb.RegisterHealthServer(srv, states)
	lis := listen(t)
	serveServer(t, srv, lis)
	for name, cc := range both(t, lis.Addr().String(), dialTCP) {
		t.Run(name, func(t *testing.T) {
			states.SetServingStatus("shelf", healthpb.HealthCheckResponse_SERVING)
			st, err := healthpb.NewHealthClient(cc).Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "shelf"})
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []healthpb.HealthCheckResponse_ServingStatus{
				healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING, healthpb.HealthCheckResponse_SERVING,
			} {
				states.SetServingStatus("shelf", want)
				if got, err := st.Recv(); err != nil || got.GetStatus() != want {
					t.Fatalf("the watcher was told %v, %v, want %v", got.GetStatus(), err, want)
				}
			}
		})
	}
}

// Feature: health, reflection and admin services
//
// Health, reflection and the admin services are registered as on grpc-go's
// server, and answer clients of either kind. What channelz tells there is about
// grpc-go's own connections: a weir server is not among them.
func TestServices_OfGRPCGo_AreRegisteredUnchanged(t *testing.T) {
	srv := weir.NewServer()
	testgrpc.RegisterTestServiceServer(srv, service{})
	healthpb.RegisterHealthServer(srv, health.NewServer())
	reflection.Register(srv)
	cleanup, err := admin.Register(srv)
	if err != nil {
		t.Fatal(err)
	}
	defer cleanup()
	lis := listen(t)
	serveServer(t, srv, lis)
	for name, cc := range both(t, lis.Addr().String(), dialTCP) {
		t.Run(name, func(t *testing.T) {
			state, err := healthpb.NewHealthClient(cc).Check(t.Context(), &healthpb.HealthCheckRequest{})
			if err != nil || state.GetStatus() != healthpb.HealthCheckResponse_SERVING {
				t.Errorf("health says %v, %v", state.GetStatus(), err)
			}
			if servers, err := channelzpb.NewChannelzClient(cc).GetServers(t.Context(), &channelzpb.GetServersRequest{}); err != nil || len(servers.GetServer()) > 0 {
				t.Errorf("channelz says %v, %v", servers, err)
			}
			names := services(t, cc)
			for _, want := range []string{"grpc.testing.TestService", "grpc.health.v1.Health", "grpc.channelz.v1.Channelz"} {
				if !slices.Contains(names, want) {
					t.Errorf("reflection lists %q, without %s", names, want)
				}
			}
		})
	}
}

// services asks reflection what a server has.
func services(t *testing.T, cc grpc.ClientConnInterface) (names []string) {
	t.Helper()
	st, err := reflectionpb.NewServerReflectionClient(cc).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Send(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{},
	}); err != nil {
		t.Fatal(err)
	}
	reply, err := st.Recv()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range reply.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	if err := st.CloseSend(); err != nil {
		t.Fatal(err)
	}
	_, _ = st.Recv()
	return names
}
