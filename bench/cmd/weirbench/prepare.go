package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/process"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// prepare finds what a scenario says in terms of this machine. It is the same
// for all peers.
func (b *bench) prepare(ctx context.Context, s *scenario.Scenario) (err error) {
	if s.Load > 0 {
		capacity, err := b.capacity(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		s.Rate = capacity * float64(s.Load) / 100
	}
	if s.Burn > 0 {
		s.Turns, err = peers.Turns(s.Burn)
	}
	return err
}

// capacityRounds are those of which the median is taken.
const capacityRounds = 3

// capacity is how many calls a second the baseline can do.
func (b *bench) capacity(ctx context.Context) (perSecond float64, err error) {
	p, err := peers.Named(peers.Baseline)
	if err != nil {
		return 0, err
	}
	pair, err := process.Start(ctx, b.programs, p, scenario.Capacity())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, pair.Stop()) }()
	if _, err := pair.Run(b.warmup); err != nil {
		return 0, err
	}
	var rates []float64
	for range capacityRounds {
		r, err := pair.Run(b.duration)
		if err != nil {
			return 0, err
		}
		rates = append(rates, float64(r.Client.Calls)/r.Client.Elapsed.Seconds())
	}
	slices.Sort(rates)
	return rates[capacityRounds/2], nil
}
