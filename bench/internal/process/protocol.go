// Package process has the processes of the benchmark: one for each server and
// one for each client, and what they say to the one that started them.
//
// They read one line of JSON from their input for each request, and answer it
// with one line of output. They end when their input ends, so that none
// outlives the process that started it.
package process

import (
	"time"

	"github.com/weir-rpc/weir/bench/internal/load"
	"github.com/weir-rpc/weir/bench/internal/scenario"
	"github.com/weir-rpc/weir/bench/internal/usage"
)

// Argument makes a program that calls Main a process of the benchmark, when it
// is the first.
const Argument = "weirbench-process"

type role string

const (
	server  role = "server"
	client  role = "client"
	between role = "link" // between the two, in scenarios with a delay
)

// setup is the first line. The answer is a hello.
type setup struct {
	Role     role              `json:"role"`
	Peer     string            `json:"peer"`
	Scenario scenario.Scenario `json:"scenario"`
	Target   string            `json:"target,omitempty"` // of a client or a link
	Identity *identity         `json:"identity,omitempty"`
}

type hello struct {
	Address string `json:"address,omitempty"` // of a server or a link
}

// request asks for one thing. What is zero is not asked for.
type request struct {
	Run    time.Duration `json:"run_ns,omitempty"` // of a client
	Open   bool          `json:"open,omitempty"`   // by a client, what is idle then
	Used   bool          `json:"used,omitempty"`
	Glance bool          `json:"glance,omitempty"`
	Settle bool          `json:"settle,omitempty"`

	Profile  *profile `json:"profile,omitempty"`  // from now on
	Profiled bool     `json:"profiled,omitempty"` // the end of that
}

type reply struct {
	Window      load.Window `json:"window,omitzero"`
	Used        usage.Used  `json:"used,omitzero"`
	Holds       usage.Holds `json:"holds,omitzero"`
	Connections int64       `json:"connections,omitempty"` // that a server has accepted
	Error       string      `json:"error,omitempty"`
}
