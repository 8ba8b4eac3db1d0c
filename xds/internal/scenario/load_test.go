package scenario

import (
	"testing"

	"github.com/weir-rpc/weir/xds/internal/controlplane"
	"github.com/weir-rpc/weir/xds/internal/fleet"
)

// Feature: xDS load reports
//
// The client reports the calls of a cluster that asks for it, over LRS.
func TestLoad_Reported(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		a := fleet.Start(t, "a")
		w.start(simple(controlplane.Cluster{Name: "one", Localities: controlplane.At(a.Addr()), ReportLoad: true}))
		w.answered(7)
		if err := w.WaitLoad(w.within(), "one", 7); err != nil {
			t.Error(err)
		}
	})
}
