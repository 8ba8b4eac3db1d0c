package main

import (
	"os"

	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/process"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// cppProgram is where `make bench-cpp` puts the program of grpc-c++.
const cppProgram = "bin/weirbench-cpp"

// programs are this one, and what there is for foreign peers.
func (o options) programs() (process.Programs, error) {
	own, err := os.Executable()
	if err != nil {
		return process.Programs{}, err
	}
	return process.Programs{Own: own, Foreign: o.cpp}, nil
}

// lacks is as that of the peer, whose program may not be there.
func (o options) lacks(p peers.Peer, s scenario.Scenario) string {
	if p.Foreign {
		if _, err := os.Stat(o.cpp); err != nil {
			return "expected its program, which `make bench-cpp` builds; came " + err.Error()
		}
	}
	return p.Lacks(s)
}
