package controlplane

import (
	"strings"
	"testing"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
)

// A stream has accepted a version when the last answer of every type says so, but
// for types of which it asks for nothing.
func TestStream_Accepted(t *testing.T) {
	asks := func(typ string, names ...string) *discoverypb.DiscoveryRequest {
		return &discoverypb.DiscoveryRequest{TypeUrl: typ, ResourceNames: names}
	}
	accepts := func(typ, version string, names ...string) *discoverypb.DiscoveryRequest {
		return &discoverypb.DiscoveryRequest{TypeUrl: typ, ResourceNames: names, VersionInfo: version, ResponseNonce: "1"}
	}
	refuses := func(typ string) *discoverypb.DiscoveryRequest {
		return &discoverypb.DiscoveryRequest{
			TypeUrl: typ, ResourceNames: []string{"a"}, VersionInfo: "1", ResponseNonce: "2",
			ErrorDetail: &statuspb.Status{Message: "the reason"},
		}
	}
	const lds, rds, cds, eds = resource.ListenerType, resource.RouteType, resource.ClusterType, resource.EndpointType
	all := []*discoverypb.DiscoveryRequest{accepts(lds, "2", "a"), accepts(cds, "2", "a"), accepts(eds, "2", "a")}
	for _, c := range []struct {
		name   string
		heard  []*discoverypb.DiscoveryRequest
		want   bool
		reason string
	}{
		{"nothing", nil, false, ""},
		{"no endpoints yet", all[:2], false, ""},
		{"all three", all, true, ""},
		{"an older version of one", append([]*discoverypb.DiscoveryRequest{accepts(rds, "1", "a")}, all...), false, ""},
		{"an older version of nothing", append([]*discoverypb.DiscoveryRequest{accepts(rds, "1")}, all...), true, ""},
		{"another name, with the answer to come", append(all[:3:3], asks(rds, "a")), false, ""},
		{"refused", append(all[:3:3], refuses(cds)), false, "the reason"},
		{"refused, and accepted then", append(all[:3:3], refuses(cds), accepts(cds, "2", "a")), true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &stream{types: make(map[string]*answers)}
			for _, r := range c.heard {
				s.heard(r)
			}
			got, err := s.accepted("2")
			if got != c.want || (err != nil) != (c.reason != "") || err != nil && !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%v, %v, want %v, %q", got, err, c.want, c.reason)
			}
		})
	}
}
