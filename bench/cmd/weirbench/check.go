package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/weir-rpc/weir/bench/internal/floor"
	"github.com/weir-rpc/weir/bench/internal/report"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// checkRounds are the fewest of a check, and doubtRounds how many times more a
// scenario has that fell below a floor: once, before it is believed.
const (
	checkRounds = 3
	doubtRounds = 3

	checkDuration = 400 * time.Millisecond
	checkWarmup   = 200 * time.Millisecond
)

var errBelow = errors.New("expected ratios above their floors; came some below")

// check measures what has floors, and fails when one does not hold.
func check(ctx context.Context, o options, out, errOut io.Writer) error {
	floors, err := floor.Read(o.check)
	if err != nil {
		return err
	}
	programs, err := o.programs()
	if err != nil {
		return err
	}
	warnOfBusy(report.ThisMachine(), errOut)
	b := bench{options: o, programs: programs}
	below, checked := false, false
	for _, s := range o.scenarios {
		if len(floors.Of(s)) == 0 {
			continue
		}
		checked = true
		if b.peers, err = floors.Peers(s); err != nil {
			return err
		}
		if err := b.prepare(ctx, &s); err != nil {
			return err
		}
		verdicts, err := b.judge(ctx, s, floors, out)
		if err != nil {
			return err
		}
		if fell(verdicts) {
			fmt.Fprintf(out, "again  %s: with %d rounds\n", s.Name, b.rounds*doubtRounds)
			doubted := b
			doubted.rounds *= doubtRounds
			if verdicts, err = doubted.judge(ctx, s, floors, out); err != nil {
				return err
			}
		}
		below = below || fell(verdicts)
	}
	switch {
	case !checked:
		return fmt.Errorf("expected scenarios with a floor in %s; came none", o.check)
	case below:
		return errBelow
	}
	return nil
}

func fell(verdicts []floor.Verdict) bool {
	return slices.ContainsFunc(verdicts, func(v floor.Verdict) bool { return !v.Holds })
}

func (b *bench) judge(ctx context.Context, s scenario.Scenario, floors *floor.Floors, out io.Writer) ([]floor.Verdict, error) {
	cells, err := b.measure(ctx, s)
	if err != nil {
		return nil, err
	}
	report.Conclude(cells)
	verdicts := floors.Check(s, cells)
	for _, v := range verdicts {
		fmt.Fprintln(out, v)
	}
	return verdicts, nil
}
