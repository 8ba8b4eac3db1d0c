package scenario

import (
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/weir-rpc/weir/xds/internal/controlplane"
	"github.com/weir-rpc/weir/xds/internal/fleet"
	"google.golang.org/grpc/codes"
)

// Under calls that never pause the control plane changes one thing after the other:
// the share of a new cluster, its endpoints, its localities, its policy. No call
// fails.
//
// The control plane waits until one thing has its effect: where gRPC's resolver falls
// behind it asks for clusters too late, and has calls fail that are on their way.
func TestUpdates_UnderLoad(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		all := fleet.StartAll(t, "a", "b", "c", "d")
		apart := []controlplane.Locality{
			{Endpoints: []controlplane.Endpoint{{Address: all[2].Addr()}}},
			{Priority: 1, Endpoints: []controlplane.Endpoint{{Address: all[0].Addr()}}},
		}
		old := []controlplane.Cluster{{Name: "0", Localities: controlplane.At(addrs(all...)...)}}
		config := func(route []controlplane.Weighted, young ...controlplane.Cluster) controlplane.Config {
			return controlplane.Config{
				Listeners: []controlplane.Listener{{Name: "shelf", RouteName: "routes", Routes: []controlplane.Route{{Clusters: route}}}},
				Clusters:  append(slices.Clone(old), young...),
			}
		}
		steps := []controlplane.Config{config(controlplane.To("0"))}
		for n := 1; n <= 6; n++ {
			before, name := strconv.Itoa(n-1), strconv.Itoa(n)
			young := func(p controlplane.Policy, at []controlplane.Locality) controlplane.Cluster {
				return controlplane.Cluster{Name: name, Policy: p, Localities: at}
			}
			some := young(controlplane.RoundRobin, controlplane.At(addrs(all[:2]...)...))
			steps = append(steps,
				config([]controlplane.Weighted{{Name: before, Weight: 1}, {Name: name, Weight: 1}}, some),
				config(controlplane.To(name), some),
				config(controlplane.To(name), young(controlplane.RoundRobin, controlplane.At(addrs(all[1:]...)...))),
				config(controlplane.To(name), young(controlplane.RoundRobin, apart)),
				config(controlplane.To(name), young(controlplane.RingHash, controlplane.At(addrs(all...)...))),
			)
			old = append(old, some)
		}
		w.start(steps[0])
		w.answered(1)
		stop := make(chan struct{})
		var callers sync.WaitGroup
		failed := make(chan error, 1)
		for range 8 {
			callers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, err := w.call(); err != nil {
						select {
						case failed <- err:
						default:
						}
					}
				}
			})
		}
		for n, step := range steps {
			// A route of its own shows that a step is there.
			mark := controlplane.Route{
				Headers: map[string]string{"step": strconv.Itoa(n)}, Clusters: step.Listeners[0].Routes[0].Clusters,
				Fault: &controlplane.Fault{Abort: codes.OutOfRange},
			}
			step.Listeners[0].Fault = new(controlplane.Fault)
			step.Listeners[0].Routes = append([]controlplane.Route{mark}, step.Listeners[0].Routes...)
			w.update(step)
			w.fails(codes.OutOfRange, "step", strconv.Itoa(n))
		}
		close(stop)
		callers.Wait()
		select {
		case err := <-failed:
			if t.Log(err); !w.lax {
				t.Fail()
			}
		default:
		}
	})
}
