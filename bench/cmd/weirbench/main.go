// Command weirbench measures weir beside grpc-go and others, with processes of
// their own for each server and each client: `go run ./bench/cmd/weirbench`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/process"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// The exit statuses.
const (
	statusOK          = 0
	statusFailed      = 1
	statusUsage       = 2
	statusInterrupted = 130
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == process.Argument {
		os.Exit(process.Main(os.Stdin, os.Stdout, os.Stderr))
	}
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A later signal ends the program at once.
	context.AfterFunc(ctx, release)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process. It has stopped all that it started when it
// returns.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	o, err := parse(args, errOut)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return statusOK
	case err != nil:
		fmt.Fprintf(errOut, "weirbench: %v\n", err)
		return statusUsage
	case o.list:
		list(out)
		return statusOK
	}
	if o.check != "" {
		err = check(ctx, o, out, errOut)
	} else {
		err = benchmark(ctx, o, out, errOut)
	}
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(errOut, "weirbench: interrupted")
		return statusInterrupted
	case err != nil:
		fmt.Fprintf(errOut, "weirbench: %v\n", err)
		return statusFailed
	}
	return statusOK
}

// options are what the command line says.
type options struct {
	scenarios []scenario.Scenario
	peers     []peers.Peer
	rounds    int
	duration  time.Duration
	warmup    time.Duration
	budget    time.Duration // zero for none
	out       string        // "" for nowhere
	profile   string        // "" for nowhere
	contend   bool          // profiles of contention too
	check     string        // a file of floors; "" for none
	cpp       string        // the program of grpc-c++, if it is there
	list      bool
}

// The durations of the quick run, whose budget leaves some of five minutes to
// start and to end.
const (
	quickRounds   = 3
	quickDuration = 250 * time.Millisecond
	quickWarmup   = 100 * time.Millisecond
	quickBudget   = 4 * time.Minute
)

func parse(args []string, errOut io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("weirbench", flag.ContinueOnError)
	flags.SetOutput(errOut)
	var pattern, names string
	var quick bool
	flags.StringVar(&pattern, "scenario", "", "measure the scenarios whose names match this `regexp`")
	flags.StringVar(&names, "peer", "", "measure these peers, a `list` of names with commas (ratios need grpc-go)")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds of each peer, in turns")
	flags.DurationVar(&o.duration, "duration", time.Second, "of a round")
	flags.DurationVar(&o.warmup, "warmup", 500*time.Millisecond, "of each peer before its first round")
	flags.BoolVar(&quick, "quick", false, fmt.Sprintf("at most five minutes: %d rounds of %v unless set, fewer when time is short;\n"+
		"without %s, unless -scenario is set", quickRounds, quickDuration, strings.Join(longNames(), ", ")))
	flags.StringVar(&o.out, "out", "", "write the raw results and the plot to this `directory`")
	flags.StringVar(&o.profile, "profile", "", "write CPU profiles of each client and server, of the rounds of calls, to this `directory`")
	flags.BoolVar(&o.contend, "contention", false, "with -profile: profiles of blocking and of mutexes too, which cost more")
	flags.StringVar(&o.check, "check", "", fmt.Sprintf("measure what has a floor in this `file`, and fail when a ratio to grpc-go is below it:\n"+
		"%d rounds of %v unless set, and %d times as many before it fails", checkRounds, checkDuration, doubtRounds))
	flags.StringVar(&o.cpp, "cpp", cppProgram, "the `program` of the peer grpc-c++, which make bench-cpp builds")
	flags.BoolVar(&o.list, "list", false, "show the names of scenarios and peers, and measure nothing")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("expected flags alone; came %q", flags.Args())
	}
	set := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if o.check != "" {
		if quick || o.out != "" || o.profile != "" || names != "" {
			return o, errors.New("-check: expected neither -quick, -out, -profile nor -peer with it; came one of them")
		}
		if !set["rounds"] {
			o.rounds = checkRounds
		}
		if !set["duration"] {
			o.duration = checkDuration
		}
		if !set["warmup"] {
			o.warmup = checkWarmup
		}
		if o.rounds < checkRounds {
			return o, fmt.Errorf("-check: expected %d rounds or more; came %d", checkRounds, o.rounds)
		}
	}
	if quick {
		o.budget = quickBudget
		if !set["rounds"] {
			o.rounds = quickRounds
		}
		if !set["duration"] {
			o.duration = quickDuration
		}
		if !set["warmup"] {
			o.warmup = quickWarmup
		}
	}
	if o.contend && o.profile == "" {
		return o, errors.New("-contention: expected -profile with it, which says where to; came none")
	}
	if o.rounds < 1 {
		return o, fmt.Errorf("-rounds: expected one or more; came %d", o.rounds)
	}
	if o.duration < time.Millisecond || o.warmup < time.Millisecond {
		return o, fmt.Errorf("-duration and -warmup: expected a millisecond or more; came %v and %v", o.duration, o.warmup)
	}
	if o.scenarios, err = scenario.Select(scenario.All(), pattern); err != nil {
		return o, err
	}
	if quick && pattern == "" {
		o.scenarios = slices.DeleteFunc(o.scenarios, func(s scenario.Scenario) bool { return s.Long })
	}
	o.peers, err = peers.Select(names)
	return o, err
}

// longNames are those that a quick run leaves out.
func longNames() (names []string) {
	for _, s := range scenario.All() {
		if s.Long {
			names = append(names, s.Name)
		}
	}
	return names
}

func list(out io.Writer) {
	fmt.Fprintln(out, "scenarios:")
	for _, s := range scenario.All() {
		fmt.Fprintln(out, "  "+s.Name)
	}
	all, usual := peers.All()
	fmt.Fprintln(out, "peers:")
	for i, p := range all {
		if i == usual {
			fmt.Fprintln(out, "peers that are measured only when named:")
		}
		fmt.Fprintln(out, "  "+p.Name)
	}
}
