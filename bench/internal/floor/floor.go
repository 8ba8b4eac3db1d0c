// Package floor has the ratios below which the benchmark must not fall.
package floor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/report"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// Floors are those of a file.
type Floors struct {
	// Tolerance is how far below its floor a ratio may be, because the machine
	// was busy or is another one: 0.2 for a fifth.
	Tolerance float64 `json:"tolerance"`
	Floors    []Floor `json:"floors"`
}

// Floor is a ratio to the baseline that has once been measured.
type Floor struct {
	Scenario string  `json:"scenario"`
	Peer     string  `json:"peer"`
	Measure  string  `json:"measure"`
	Value    float64 `json:"value"`
	Measured string  `json:"measured"` // on this day
}

// measures have names in the file.
var measures = map[string]func(r *report.Ratios) float64{
	"cpu":    func(r *report.Ratios) float64 { return r.CPU },
	"client": func(r *report.Ratios) float64 { return r.Client },
	"server": func(r *report.Ratios) float64 { return r.Server },
	"p99":    func(r *report.Ratios) float64 { return r.P99 },
	"calls":  func(r *report.Ratios) float64 { return r.CallsPerSecond },
	"rss":    func(r *report.Ratios) float64 { return r.RSS },
}

// Read reads a file and checks that all that it names can be measured.
func Read(name string) (*Floors, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	f := new(Floors)
	if err := decoder.Decode(f); err != nil {
		return nil, fmt.Errorf("%s: expected floors; came %w", name, err)
	}
	if err := f.valid(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

func (f *Floors) valid() error {
	if f.Tolerance < 0 || f.Tolerance >= 1 {
		return fmt.Errorf("expected a tolerance from 0 to below 1; came %g", f.Tolerance)
	}
	if len(f.Floors) == 0 {
		return errors.New("expected floors; came none")
	}
	for _, one := range f.Floors {
		if _, err := time.Parse(time.DateOnly, one.Measured); err != nil {
			return fmt.Errorf("floor of %s: expected the day when it was measured; came %w", one.Scenario, err)
		}
		if measures[one.Measure] == nil {
			return fmt.Errorf("floor of %s: expected one of the measures %q; came %q", one.Scenario, slices.Sorted(maps.Keys(measures)), one.Measure)
		}
		if one.Value <= 0 {
			return fmt.Errorf("floor of %s: expected a ratio above zero; came %g", one.Scenario, one.Value)
		}
		p, err := peers.Named(one.Peer)
		if err != nil {
			return err
		}
		some, err := scenario.Select(scenario.All(), "^"+regexp.QuoteMeta(one.Scenario)+"$")
		if err != nil {
			return err
		}
		if why := p.Lacks(some[0]); why != "" || !p.Measures(some[0]) {
			return fmt.Errorf("floor of %s: %s is not measured there: %s", one.Scenario, one.Peer, why)
		}
		if idle := one.Measure == "rss"; idle && !some[0].Idle() || some[0].Idle() && (one.Measure == "cpu" || one.Measure == "p99" || one.Measure == "calls") {
			return fmt.Errorf("floor of %s: %s is not measured there", one.Scenario, one.Measure)
		}
	}
	return nil
}

// Of are the floors of a scenario.
func (f *Floors) Of(s scenario.Scenario) (some []Floor) {
	for _, one := range f.Floors {
		if one.Scenario == s.Name {
			some = append(some, one)
		}
	}
	return some
}

// Peers are those that are needed for a scenario: the ones with a floor and the
// baseline.
func (f *Floors) Peers(s scenario.Scenario) ([]peers.Peer, error) {
	names := []string{peers.Baseline}
	for _, one := range f.Of(s) {
		names = append(names, one.Peer)
	}
	return peers.Select(strings.Join(names, ","))
}

// Verdict is what became of a floor.
type Verdict struct {
	Floor Floor
	Got   float64
	Holds bool
}

// String is one line.
func (v Verdict) String() string {
	word := "holds"
	if !v.Holds {
		word = "BELOW"
	}
	return fmt.Sprintf("%s  %s of %s: %s × %.2f, floor %.2f of %s", word, v.Floor.Scenario, v.Floor.Peer, v.Floor.Measure, v.Got, v.Floor.Value, v.Floor.Measured)
}

// Check compares the cells of one scenario with its floors. A floor whose
// figure is missing does not hold.
func (f *Floors) Check(s scenario.Scenario, cells []*report.Cell) (all []Verdict) {
	for _, one := range f.Of(s) {
		v := Verdict{Floor: one}
		for _, c := range cells {
			if c.Peer == one.Peer && c.Ratios != nil {
				v.Got = measures[one.Measure](c.Ratios)
			}
		}
		v.Holds = v.Got >= one.Value*(1-f.Tolerance)
		all = append(all, v)
	}
	return all
}
