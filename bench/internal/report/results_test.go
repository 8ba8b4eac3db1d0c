package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir/bench/internal/process"
	"github.com/weir-rpc/weir/bench/internal/scenario"
	"github.com/weir-rpc/weir/bench/internal/usage"
)

func TestResultsAreWrittenWhole(t *testing.T) {
	cell := &Cell{Scenario: scenario.All()[0], Peer: "weir"}
	var round process.Round
	round.Client.Calls = 10
	round.Client.Elapsed = time.Second
	round.Client.Latency.P50 = time.Millisecond
	round.Server.Used.CPU = time.Second
	cell.Add(round)
	idle := &Cell{Scenario: scenario.Scenario{Shape: scenario.IdleConns}, Peer: "weir"}
	idle.Add(process.Round{Idle: &process.Idle{Opened: 1, Client: process.BeforeAfter{After: usage.Holds{RSS: 9}}}})
	Conclude([]*Cell{cell})
	want := &Results{
		Began:    time.Unix(1, 0).UTC(),
		Ended:    time.Unix(2, 0).UTC(),
		Duration: time.Second,
		Rounds:   1,
		Machine:  ThisMachine(),
		Modules:  []Module{{"m", "v1"}},
		Cells:    []*Cell{cell, idle, {Peer: "raw", LeftOut: "a reference"}},
	}
	name := filepath.Join(t.TempDir(), "results.json")
	if err := want.WriteFile(name); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	got := new(Results)
	if err := json.Unmarshal(text, got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v came back as %+v", want, got)
	}
}

func TestThisMachine(t *testing.T) {
	m := ThisMachine()
	if m.Processors < 1 || !strings.HasPrefix(m.Go, "go") && !strings.HasPrefix(m.Go, "devel") || m.Kernel == "" {
		t.Errorf("machine %+v", m)
	}
	for _, tt := range []struct {
		load float64
		busy bool
	}{{0, false}, {1, false}, {1.1, true}} {
		if got := (Machine{Processors: 4, Load: tt.load}).Busy(); got != tt.busy {
			t.Errorf("a load of %v on 4 processors is busy: %t", tt.load, got)
		}
	}
}
