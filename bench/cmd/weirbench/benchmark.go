package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/process"
	"github.com/weir-rpc/weir/bench/internal/report"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// The files in the directory of -out.
const (
	resultsFile = "results.json"
	plotFile    = "plot.svg"
)

// benchmark measures scenario after scenario, and writes each as it is done.
func benchmark(ctx context.Context, o options, out, errOut io.Writer) error {
	programs, err := o.programs()
	if err != nil {
		return err
	}
	for _, dir := range []string{o.out, o.profile} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
	}
	results := &report.Results{
		Began: time.Now(), Duration: o.duration, Warmup: o.warmup, Rounds: o.rounds,
		Machine: report.ThisMachine(), Modules: report.Modules(ctx),
	}
	warnOfBusy(results.Machine, errOut)
	fmt.Fprint(out, explanation)
	for i, s := range o.scenarios {
		b := bench{options: o, programs: programs}
		if o.budget > 0 {
			b.until = results.Began.Add(o.budget * time.Duration(i+1) / time.Duration(len(o.scenarios)))
		}
		if err := b.prepare(ctx, &s); err != nil {
			return err
		}
		cells, err := b.measure(ctx, s)
		if err != nil {
			return err
		}
		if len(cells) == 0 {
			continue // peers that are not for this scenario
		}
		report.Conclude(cells)
		if err := report.WriteTable(out, cells); err != nil {
			return err
		}
		results.Cells = append(results.Cells, cells...)
	}
	results.Ended = time.Now()
	if o.out == "" {
		return nil
	}
	return write(o.out, results, errOut)
}

func warnOfBusy(m report.Machine, errOut io.Writer) {
	if m.Busy() {
		fmt.Fprintf(errOut, "weirbench: the machine is busy (load %.1f on %d processors): do not keep these figures\n", m.Load, m.Processors)
	}
}

// explanation stands above the table.
const explanation = `Medians of the rounds. Two figures are those of the client's and the server's process.
CPU × and RSS × are grpc-go's of both sides over the peer's, client × and server × those of one side, p99 × grpc-go's
over the peer's, calls × and bulk × the peer's over grpc-go's: more is better. "above raw" is the peer's CPU beyond what
raw needs, over grpc-go's beyond that: less is better. "first in trips" is the first call of a new connection, in round
trips, without that of TCP.
A call of a stream is a message; the latency of stream/... is that of a burst with its call.

`

func write(dir string, results *report.Results, errOut io.Writer) error {
	if err := results.WriteFile(filepath.Join(dir, resultsFile)); err != nil {
		return err
	}
	err := report.WritePlot(filepath.Join(dir, plotFile), results.Cells)
	if errors.Is(err, report.ErrNothingToPlot) {
		fmt.Fprintf(errOut, "weirbench: no plot: %v\n", err)
		return nil
	}
	return err
}

// bench measures one scenario.
type bench struct {
	options

	programs process.Programs
	until    time.Time // zero for no end
}

// contestant is a peer that is measured.
type contestant struct {
	cell *report.Cell
	pair *process.Pair
}

// measure lets the peers take turns: each round is one run of each.
func (b *bench) measure(ctx context.Context, s scenario.Scenario) (cells []*report.Cell, err error) {
	var some []contestant
	defer func() {
		for _, c := range some {
			err = errors.Join(err, c.pair.Stop())
		}
	}()
	if s.Idle() {
		return b.measureIdle(ctx, s)
	}
	for _, p := range b.peers {
		if !p.Measures(s) {
			continue
		}
		cell := &report.Cell{Scenario: s, Peer: p.Name, LeftOut: b.lacks(p, s)}
		cells = append(cells, cell)
		if cell.LeftOut != "" {
			continue
		}
		pair, err := process.Start(ctx, b.programs, p, s)
		if err != nil {
			return nil, err
		}
		some = append(some, contestant{cell, pair})
		if _, err := pair.Run(b.warmup); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		if b.profile != "" && !p.Foreign {
			name := strings.ReplaceAll(s.Name, "/", "-") + "." + p.Name
			if err := pair.Profile(filepath.Join(b.profile, name), b.contend); err != nil {
				return nil, err
			}
		}
	}
	for n := range b.rounds {
		if n > 0 && b.late() {
			break
		}
		for _, c := range some {
			round, err := c.pair.Run(b.duration)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.Name, err)
			}
			c.cell.Add(round)
		}
	}
	for _, c := range some {
		if b.profile == "" {
			break
		}
		if err := c.pair.Profiled(); err != nil {
			return nil, err
		}
	}
	return cells, nil
}

// measureIdle starts new processes for each round: memory that has been used
// is not given back in full.
func (b *bench) measureIdle(ctx context.Context, s scenario.Scenario) (cells []*report.Cell, err error) {
	for n := range b.rounds {
		if n > 0 && b.late() {
			break
		}
		i := 0
		for _, p := range b.peers {
			if !p.Measures(s) {
				continue
			}
			if n == 0 {
				cells = append(cells, &report.Cell{Scenario: s, Peer: p.Name, LeftOut: b.lacks(p, s)})
			}
			cell := cells[i]
			i++
			if cell.LeftOut != "" {
				continue
			}
			round, err := b.open(ctx, s, p)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.Name, err)
			}
			cell.Add(round)
		}
	}
	return cells, nil
}

func (b *bench) open(ctx context.Context, s scenario.Scenario, p peers.Peer) (round process.Round, err error) {
	pair, err := process.Start(ctx, b.programs, p, s)
	if err != nil {
		return process.Round{}, err
	}
	defer func() { err = errors.Join(err, pair.Stop()) }()
	return pair.Open()
}

// late says whether the time for the scenario is over.
func (b *bench) late() bool { return !b.until.IsZero() && time.Now().After(b.until) }
