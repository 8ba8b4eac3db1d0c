package peers

import (
	"testing"

	"github.com/weir-rpc/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestNamed(t *testing.T) {
	for _, p := range Pairings() {
		for _, impl := range []Implementation{p.Client, p.Server} {
			if got, ok := Named(impl.Name); !ok || got.Name != impl.Name {
				t.Errorf("Named(%q) = %q, %t", impl.Name, got.Name, ok)
			}
		}
	}
	if _, ok := Named("h3"); ok {
		t.Error(`Named("h3") found something`)
	}
}

func TestWeirTakesPartInEachPairing(t *testing.T) {
	seen := map[[2]string]bool{}
	for _, p := range Pairings() {
		names := [2]string{p.Client.Name, p.Server.Name}
		if names[0] != Weir().Name && names[1] != Weir().Name {
			t.Errorf("the pairing %v is without weir", names)
		}
		seen[names] = true
	}
	if len(seen) != 3 {
		t.Errorf("the pairings are %v, want three", seen)
	}
}
