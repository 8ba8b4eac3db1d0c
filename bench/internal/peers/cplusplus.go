package peers

import "github.com/weir-rpc/weir/bench/internal/scenario"

// CPlusPlus is the name of the peer that ../../cpp builds.
const CPlusPlus = "grpc-c++"

func cPlusPlus() Peer {
	p := same(Implementation{Name: CPlusPlus, lacks: cPlusPlusLacks})
	p.Foreign = true
	return p
}

func cPlusPlusLacks(s scenario.Scenario) string {
	switch s.Shape {
	case scenario.Unary, scenario.PingPong, scenario.Stream:
		if !s.Observed && s.Bulk == 0 && s.Sleep == 0 && s.Burn == 0 && s.Delay == 0 && s.Addresses == 0 && s.Slots == 0 {
			return ""
		}
	}
	return "bench/cpp has no such calls"
}
