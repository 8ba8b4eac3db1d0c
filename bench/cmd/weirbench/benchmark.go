package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/weir-rpc/weir/bench/internal/process"
	"github.com/weir-rpc/weir/bench/internal/report"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// benchmark measures scenario after scenario and writes each as it is done.
func benchmark(ctx context.Context, o options, out, errOut io.Writer) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	var all []*report.Cell
	began := time.Now()
	fmt.Fprintln(out, "Two figures are those of client+server. × is grpc-go's CPU of both sides over the peer's, and the peer's calls/s over grpc-go's.")
	fmt.Fprintln(out)
	for i, s := range o.scenarios {
		b := bench{options: o, program: program, errOut: errOut}
		if o.budget > 0 {
			b.until = began.Add(o.budget * time.Duration(i+1) / time.Duration(len(o.scenarios)))
		}
		cells, err := b.measure(ctx, s)
		if err != nil {
			return err
		}
		if len(cells) == 0 {
			continue
		}
		report.Conclude(cells)
		if err := report.WriteTable(out, cells); err != nil {
			return err
		}
		all = append(all, cells...)
	}
	_ = all
	return nil
}

// bench measures one scenario.
type bench struct {
	options

	program string
	until   time.Time // zero for no end
	errOut  io.Writer
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
	for _, p := range b.peers {
		if !p.Measures(s) {
			continue
		}
		cell := &report.Cell{Scenario: s, Peer: p.Name, LeftOut: p.Lacks(s)}
		cells = append(cells, cell)
		if cell.LeftOut != "" {
			continue
		}
		pair, err := process.Start(ctx, b.program, p, s)
		if err != nil {
			return nil, err
		}
		some = append(some, contestant{cell, pair})
		if _, err := pair.Run(b.warmup); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
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
	return cells, nil
}

// late says whether the time for the scenario is over.
func (b *bench) late() bool { return !b.until.IsZero() && time.Now().After(b.until) }
