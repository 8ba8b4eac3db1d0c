package controlplane

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/weir-rpc/weir"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/credentials/insecure"
)

// A client has one ADS stream, and answers by hand.
type client struct {
	t      *testing.T
	stream discoverypb.AggregatedDiscoveryService_StreamAggregatedResourcesClient
}

func dial(t *testing.T, s *Server) *client {
	t.Helper()
	cc, err := weir.NewClient(s.Addr(), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	st, err := discoverypb.NewAggregatedDiscoveryServiceClient(cc).StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &client{t, st}
}

// ask asks for resources of a type, and answers in if it is not nil.
func (c *client) ask(typ string, in *discoverypb.DiscoveryResponse, refuse string, names ...string) {
	c.t.Helper()
	r := &discoverypb.DiscoveryRequest{
		Node: &corepb.Node{Id: "by hand"}, TypeUrl: typ, ResourceNames: names,
		VersionInfo: in.GetVersionInfo(), ResponseNonce: in.GetNonce(),
	}
	if refuse != "" {
		r.VersionInfo, r.ErrorDetail = "", &statuspb.Status{Message: refuse}
	}
	if err := c.stream.Send(r); err != nil {
		c.t.Fatal(err)
	}
}

// told gives the next response.
func (c *client) told(version string, resources int) *discoverypb.DiscoveryResponse {
	c.t.Helper()
	in, err := c.stream.Recv()
	if err != nil {
		c.t.Fatal(err)
	}
	if in.GetVersionInfo() != version || len(in.GetResources()) != resources {
		c.t.Fatalf("version %s with %d resources, want %s with %d", in.GetVersionInfo(), len(in.GetResources()), version, resources)
	}
	return in
}

func shelf() Config {
	return Config{
		Listeners: []Listener{{Name: "shelf", Routes: []Route{{Clusters: To("one")}}}},
		Clusters:  []Cluster{{Name: "one", Localities: At("127.0.0.1:1")}},
	}
}

// soon is for what must not happen, and long for what must.
const (
	soon = 20 * time.Millisecond
	long = 20 * time.Second
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Feature: go-control-plane on weir's server
//
// A version is accepted when every type of it is.
func TestServer_WaitAccepted(t *testing.T) {
	s := Start(t)
	version := s.Set(shelf())
	if err := s.WaitAccepted(within(t, soon), version); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a client: %v", err)
	}
	c := dial(t, s)
	asked := []struct{ typ, name string }{{resource.ListenerType, "shelf"}, {resource.ClusterType, "one"}, {resource.EndpointType, "one"}}
	for _, a := range asked {
		c.ask(a.typ, nil, "", a.name)
		in := c.told("1", 1)
		if err := s.WaitAccepted(within(t, soon), version); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("before %s is accepted: %v", a.typ, err)
		}
		c.ask(a.typ, in, "", a.name)
	}
	if err := s.WaitAccepted(within(t, long), version); err != nil {
		t.Error(err)
	}

	version = s.Set(shelf())
	for range asked {
		in := c.told("2", 1)
		refuse := ""
		if in.GetTypeUrl() == resource.ClusterType {
			refuse = "no such policy"
		}
		name := "one"
		if in.GetTypeUrl() == resource.ListenerType {
			name = "shelf"
		}
		c.ask(in.GetTypeUrl(), in, refuse, name)
	}
	if err := s.WaitAccepted(within(t, long), version); err == nil || !strings.Contains(err.Error(), "no such policy") {
		t.Errorf("a refused version: %v", err)
	}
}

// What a later config leaves out is removed.
func TestServer_SetIsTheWholeTruth(t *testing.T) {
	s := Start(t)
	s.Set(shelf())
	c := dial(t, s)
	c.ask(resource.ClusterType, nil, "", "one")
	in := c.told("1", 1)
	c.ask(resource.ClusterType, in, "", "one")
	s.Set(Config{})
	c.told("2", 0)
}

// Stop ends streams. After Restart there are new ones, of the same config.
func TestServer_Restart(t *testing.T) {
	s := Start(t)
	s.Set(shelf())
	first, addr := dial(t, s), s.Addr()
	first.ask(resource.ListenerType, nil, "", "shelf")
	first.told("1", 1)
	if err := s.WaitStreams(within(t, long), 1); err != nil {
		t.Error(err)
	}
	s.Stop()
	if _, err := first.stream.Recv(); err == nil {
		t.Error("the stream outlived the control plane")
	}
	if err := s.WaitStreams(within(t, long), 0); err != nil {
		t.Error(err)
	}
	s.Restart()
	if s.Addr() != addr {
		t.Errorf("from %s to %s", addr, s.Addr())
	}
	second := dial(t, s)
	second.ask(resource.ListenerType, nil, "", "shelf")
	second.told("1", 1)
}
