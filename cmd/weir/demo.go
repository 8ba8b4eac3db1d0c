package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/weir-rpc/weir/cmd/weir/internal/checks"
	"github.com/weir-rpc/weir/cmd/weir/internal/load"
	"github.com/weir-rpc/weir/cmd/weir/internal/peers"
	"github.com/weir-rpc/weir/cmd/weir/internal/screen"
)

const (
	// demoLimit is how long the whole demo may take.
	demoLimit = 20 * time.Second

	// What the load does.
	loadOutstanding = 128
	loadRounds      = 4
	loadWindow      = 900 * time.Millisecond
	loadWarmup      = 300 * time.Millisecond

	// loadLeast is the time without which the load does not begin, and
	// loadEnd what its end may take.
	loadLeast = 2*(loadWarmup+loadWindow) + loadEnd
	loadEnd   = 2 * time.Second
)

// demoCommand is for gauges that newGauge makes, one for each pairing. It ends
// within the limit, which a flag may change, or fails.
func demoCommand(newGauge func() checks.Gauge, limit time.Duration) *cobra.Command {
	var skipLoad, asJSON bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Call weir from weir and grpc-go, check what comes back, and measure",
		Long: `Demo starts servers of weir and of grpc-go on loopback and calls them with
clients of both: all four kinds of calls, metadata, status, deadline, cancel,
large and compressed messages. Then it puts the same load on weir and on grpc-go
in turns, in processes of their own, and compares them. It takes 20 seconds at
most. On a slow machine give it more with --limit, or leave out the load, which
is most of it, with --skip-load.

The exit status is 0 if all was as expected, 1 if not, 2 if the command line is
wrong, and 130 when interrupted.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("expected no argument; came %q", args[0])
			}
			if limit <= 0 {
				return fmt.Errorf("--limit: expected a duration above zero; came %v", limit)
			}
			return nil
		},
		RunE: runs(func(cmd *cobra.Command) error {
			d := &demo{
				screen:   screen.New(cmd.OutOrStdout(), os.Environ()),
				newGauge: newGauge,
				started:  time.Now(),
				limit:    limit,
			}
			if asJSON {
				d.screen = screen.New(io.Discard, nil)
			}
			err := d.run(cmd.Context(), skipLoad)
			if asJSON && cmd.Context().Err() == nil {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				err = errors.Join(err, encoder.Encode(d.report))
			}
			return err
		}),
	}
	cmd.Flags().BoolVar(&skipLoad, "skip-load", false, "check the calls, and leave out the load")
	cmd.Flags().DurationVar(&limit, "limit", limit, "how long all of it may take")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object at the end, and nothing else")
	return cmd
}

// demo runs once.
type demo struct {
	screen   *screen.Screen
	newGauge func() checks.Gauge
	started  time.Time
	limit    time.Duration
	report   demoReport
}

func (d *demo) run(ctx context.Context, skipLoad bool) error {
	d.report = demoReport{
		GRPCGo: grpc.Version,
		Go:     runtime.Version(),
		System: runtime.GOOS + "/" + runtime.GOARCH,
		CPUs:   runtime.GOMAXPROCS(0),
	}
	d.screen.Title("weir demo", "grpc-go "+d.report.GRPCGo, d.report.Go, d.report.System,
		fmt.Sprintf("%d CPUs", d.report.CPUs))
	failed, err := d.check(ctx, peers.Pairings(), checks.All())
	if err != nil {
		return err
	}
	if !skipLoad {
		if err := d.measure(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			failed++
			d.report.Error = err.Error()
			if short, ok := errors.AsType[*shortError](err); ok {
				d.screen.Problem("load", "", short.expected(), short.came())
			} else {
				d.screen.Problem("load", "", "", err.Error())
			}
		}
	}
	return d.end(failed)
}

// check fills the table and counts what was not as expected.
func (d *demo) check(ctx context.Context, pairings []peers.Pairing, all []checks.Check) (failed int, err error) {
	var columns []screen.Column
	var stations []*checks.Station
	defer func() {
		for _, s := range stations {
			if closeErr := s.Close(); ctx.Err() == nil {
				err = errors.Join(err, closeErr)
			}
		}
	}()
	for _, p := range pairings {
		s, err := checks.Open(ctx, p, d.newGauge(), max(checks.Patience, d.limit/4))
		if err != nil {
			return failed, err
		}
		stations = append(stations, s)
		columns = append(columns, screen.Column{Client: p.Client.Name, Server: p.Server.Name})
	}
	matrix := d.screen.NewMatrix(columns...)
	var problems []checkEntry
	for _, c := range all {
		matrix.Row(c.Call, c.Checked)
		for _, s := range stations {
			outcome := s.Run(ctx, c)
			if ctx.Err() != nil {
				matrix.Break()
				return failed, ctx.Err()
			}
			entry := newEntry(s.Pairing, outcome)
			matrix.Cell(entry.OK, outcome.Took)
			d.report.Checks = append(d.report.Checks, entry)
			if !entry.OK {
				problems = append(problems, entry)
			}
		}
	}
	d.screen.Line("")
	for _, p := range problems {
		d.screen.Problem(fmt.Sprintf("%s, %s → %s", p.Call, p.Client, p.Server), p.What, p.Expected, p.Came)
	}
	return len(problems), nil
}

// measure puts the load on, with fewer rounds where time is short.
func (d *demo) measure(ctx context.Context) error {
	end := d.started.Add(d.limit)
	if left := time.Until(end); left < loadLeast {
		return &shortError{left, d.limit}
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	progress := d.screen.NewProgress()
	var at string
	began := time.Now()
	report, err := load.Compare(ctx, load.Plan{
		Program:     program,
		Subject:     peers.Weir(),
		Baseline:    peers.GRPC(),
		Outstanding: loadOutstanding,
		Rounds:      loadRounds,
		Warmup:      loadWarmup,
		Window:      loadWindow,
		Until:       end.Add(-loadEnd),
		Progress: func(done, steps int, doing string) {
			at = fmt.Sprintf("%s, %.1f s after the load began", doing, time.Since(began).Seconds())
			progress.Step(done, steps, doing)
		},
	})
	progress.End()
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("expected an end within %v; came none, the last step was %s", d.limit, at)
	}
	if err != nil {
		return err
	}
	d.report.Load = &report
	d.show(report)
	return nil
}

// shortError says that there is no time for the load.
type shortError struct{ left, limit time.Duration }

func (e *shortError) Error() string {
	return fmt.Sprintf("expected %s; came %s", e.expected(), e.came())
}

func (e *shortError) expected() string { return fmt.Sprintf("%v for the load", loadLeast) }

func (e *shortError) came() string {
	return fmt.Sprintf("%v, left of --limit %v: raise it, or leave out the load (--skip-load)", max(e.left, 0).Round(100*time.Millisecond), e.limit)
}

func (d *demo) show(r load.Report) {
	subject, baseline, ratio := r.Subject.Median, r.Baseline.Median, r.BaselineOverSubject
	micros := func(t time.Duration) string { return fmt.Sprintf("%.1f µs", float64(t)/1e3) }
	d.screen.Comparison(
		fmt.Sprintf("unary %d B, %d outstanding on one connection, median of %d rounds in turns",
			load.Payload, loadOutstanding, len(r.Subject.Rounds)),
		r.Subject.Name, r.Baseline.Name, []screen.Figure{
			{Name: "calls/s", Subject: screen.Count(subject.CallsPerSecond), Baseline: screen.Count(baseline.CallsPerSecond), Ratio: ratio.CallsPerSecond},
			{Name: "CPU per call *", Subject: micros(subject.CPUPerCall), Baseline: micros(baseline.CPUPerCall), Ratio: ratio.CPUPerCall},
			{Name: "allocs per call *", Subject: fmt.Sprintf("%.1f", subject.AllocsPerCall), Baseline: fmt.Sprintf("%.1f", baseline.AllocsPerCall), Ratio: ratio.AllocsPerCall},
			{Name: "p50", Subject: screen.Duration(subject.P50), Baseline: screen.Duration(baseline.P50), Ratio: ratio.P50},
			{Name: "p99", Subject: screen.Duration(subject.P99), Baseline: screen.Duration(baseline.P99), Ratio: ratio.P99},
		}, "* client and server, each a process of its own")
}

// end writes the verdict.
func (d *demo) end(failed int) error {
	took := time.Since(d.started)
	d.report.OK = failed == 0
	d.report.Took = took.Seconds()
	if failed == 0 {
		d.screen.Verdict(true, fmt.Sprintf("all as expected, in %.1f s", took.Seconds()))
		return nil
	}
	text := fmt.Sprintf("%d not as expected, in %.1f s", failed, took.Seconds())
	d.screen.Verdict(false, text)
	return failure{errors.New(text)}
}
