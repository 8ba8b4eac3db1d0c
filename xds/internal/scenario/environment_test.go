package scenario

import (
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	statuspb "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/xds/internal/controlplane"
	"github.com/weir-rpc/weir/xds/internal/fleet"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/xds/csds"
)

// Feature: xDS bootstrap from the environment, CSDS
//
// A program that has the bootstrap in its environment needs nothing but the target,
// and its server shows what its clients were told, by grpc-go's CSDS.
func TestEnvironment_Bootstrap(t *testing.T) {
	const variable = "GRPC_XDS_BOOTSTRAP_CONFIG"
	if os.Getenv(variable) == "" {
		cp, a := controlplane.Start(t), fleet.Start(t, "a")
		cp.Set(simple(controlplane.Cluster{Name: "one", Localities: controlplane.At(a.Addr())}))
		inProcess(t, variable+"="+string(cp.Bootstrap(controlplane.Client{})))
		if a.Calls() != 2*len(dialers) {
			t.Errorf("%d calls came from %d kinds of clients", a.Calls(), len(dialers))
		}
		return
	}
	for _, d := range dialers {
		t.Run(d.name, func(t *testing.T) {
			cc, err := d.dial(how{target: "xds:///shelf", creds: insecure.NewCredentials()}, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { cc.Close() })
			w := &world{t: t, cc: cc}
			w.answered(2)
			heard := w.heard()
			for _, want := range []string{"Listener shelf ACKED", "Cluster one ACKED", "ClusterLoadAssignment one ACKED"} {
				if !slices.Contains(heard, want) {
					t.Errorf("CSDS shows %q, without %q", heard, want)
				}
			}
		})
	}
}

// heard asks CSDS on a server of weir's what the clients of this process were told.
func (w *world) heard() (all []string) {
	w.t.Helper()
	shown, err := csds.NewClientStatusDiscoveryServer()
	if err != nil {
		w.t.Fatal(err)
	}
	defer shown.Close()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	srv := weir.NewServer()
	statuspb.RegisterClientStatusDiscoveryServiceServer(srv, shown)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	defer func() {
		srv.Stop()
		<-served
	}()
	cc, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		w.t.Fatal(err)
	}
	defer cc.Close()
	r, err := statuspb.NewClientStatusDiscoveryServiceClient(cc).FetchClientStatus(w.within(), new(statuspb.ClientStatusRequest))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, client := range r.GetConfig() {
		for _, c := range client.GetGenericXdsConfigs() {
			kind := c.GetTypeUrl()[strings.LastIndexByte(c.GetTypeUrl(), '.')+1:]
			all = append(all, kind+" "+c.GetName()+" "+c.GetClientStatus().String())
		}
	}
	return all
}

// inProcess runs this test in a process of its own with a variable set, for gRPC
// reads its environment once.
func inProcess(t *testing.T, variable string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), variable)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("with %s: %v\n%s", variable, err, out)
	}
}
