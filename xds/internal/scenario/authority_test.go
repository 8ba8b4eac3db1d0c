package scenario

import (
	"os"
	"testing"

	"github.com/weir-rpc/weir/xds/internal/controlplane"
	"github.com/weir-rpc/weir/xds/internal/fleet"
)

// rewrite switches gRFC A81 on. gRPC reads it once, when the process starts.
const rewrite = "GRPC_EXPERIMENTAL_XDS_AUTHORITY_REWRITE"

// Feature: xDS authority rewriting
//
// A control plane that the client trusts has calls of a route sent with the
// hostname of their endpoint as :authority; one that is not trusted has not.
func TestAuthority_Rewrite(t *testing.T) {
	if os.Getenv(rewrite) == "" {
		inProcess(t, rewrite+"=true")
		return
	}
	for _, trusted := range []bool{true, false} {
		name, want := "trusted", "one.example"
		if !trusted {
			name, want = "not trusted", "shelf"
		}
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				a := fleet.Start(t, "a")
				config := simple(controlplane.Cluster{Name: "one", Localities: []controlplane.Locality{{
					Endpoints: []controlplane.Endpoint{{Address: a.Addr(), Hostname: "one.example"}},
				}}})
				plain := controlplane.Route{Headers: map[string]string{"route": "plain"}, Clusters: controlplane.To("one")}
				config.Listeners[0].Routes[0].AutoHostRewrite = true
				config.Listeners[0].Routes = append([]controlplane.Route{plain}, config.Listeners[0].Routes...)
				w.Set(config)
				w.open(how{bootstrap: w.Bootstrap(controlplane.Client{Trusted: trusted})})
				if r, err := w.call(); err != nil || r.GetHostname() != want {
					t.Errorf(":authority is %q, %v, want %q", r.GetHostname(), err, want)
				}
				if r, err := w.call("route", "plain"); err != nil || r.GetHostname() != "shelf" {
					t.Errorf(":authority of a route that leaves it alone is %q, %v", r.GetHostname(), err)
				}
			})
		})
	}
}
