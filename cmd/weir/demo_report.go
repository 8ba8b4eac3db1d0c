package main

import (
	"errors"

	"github.com/weir-rpc/weir/cmd/weir/internal/checks"
	"github.com/weir-rpc/weir/cmd/weir/internal/load"
	"github.com/weir-rpc/weir/cmd/weir/internal/peers"
)

// demoReport is what --json writes.
type demoReport struct {
	OK     bool         `json:"ok"`
	GRPCGo string       `json:"grpc_go"`
	Go     string       `json:"go"`
	System string       `json:"system"`
	CPUs   int          `json:"cpus"`
	Checks []checkEntry `json:"checks"`
	Load   *load.Report `json:"load,omitempty"`
	Error  string       `json:"error,omitempty"` // of the load
	Took   float64      `json:"took_s"`
}

type checkEntry struct {
	Client   string  `json:"client"`
	Server   string  `json:"server"`
	Call     string  `json:"call"`
	Checked  string  `json:"checked"`
	OK       bool    `json:"ok"`
	What     string  `json:"what,omitempty"` // was not as expected
	Expected string  `json:"expected,omitempty"`
	Came     string  `json:"came,omitempty"`
	Took     float64 `json:"took_ms"`
}

func newEntry(pairing peers.Pairing, o checks.Outcome) checkEntry {
	entry := checkEntry{
		Client:  pairing.Client.Name,
		Server:  pairing.Server.Name,
		Call:    o.Call,
		Checked: o.Checked,
		OK:      o.Err == nil,
		Took:    float64(o.Took.Microseconds()) / 1000,
	}
	var m *checks.MismatchError
	switch {
	case errors.As(o.Err, &m):
		entry.What, entry.Expected, entry.Came = m.What, m.Want, m.Got
	case o.Err != nil:
		entry.Came = o.Err.Error()
	}
	return entry
}
