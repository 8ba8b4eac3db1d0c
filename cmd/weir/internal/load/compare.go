package load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/weir-rpc/weir/cmd/weir/internal/peers"
)

// The names of the commands that this program has for its processes, and their
// flags.
const (
	ServerCommand   = "demo-load-server"
	ClientCommand   = "demo-load-client"
	PeerFlag        = "peer"
	TargetFlag      = "target"
	OutstandingFlag = "outstanding"
)

// Plan says what Compare does.
type Plan struct {
	// Program has ServerCommand and ClientCommand.
	Program string

	// Subject is compared with Baseline. Each has a server and a client, which
	// have one connection.
	Subject, Baseline peers.Implementation

	Outstanding int
	Rounds      int           // for each, in turns
	Warmup      time.Duration // for each, before the first round
	Window      time.Duration // of a round

	// Until, if not zero, is when the rounds shall be over. A round of each
	// that would not end by then, going by the one before, is left out. The
	// first is never.
	Until time.Time

	// Progress, if not nil, is told before each step what it is.
	Progress func(step, steps int, doing string)
}

// Compare starts the processes, measures, and ends the processes.
func Compare(ctx context.Context, plan Plan) (report Report, err error) {
	sides := []*side{{impl: plan.Subject}, {impl: plan.Baseline}}
	steps := len(sides) * (plan.Rounds + 1)
	step := 0
	progress := func(doing string) {
		if plan.Progress != nil {
			plan.Progress(step, steps, doing)
		}
		step++
	}
	defer func() {
		for _, s := range sides {
			err = errors.Join(err, s.stop())
		}
		if ctx.Err() != nil {
			err = ctx.Err() // what else went wrong follows from that
		}
	}()
	for _, s := range sides {
		progress(s.impl.Name + ", start and warm-up")
		if err := s.start(ctx, plan); err != nil {
			return Report{}, err
		}
		if _, err := s.measure(plan.Warmup); err != nil {
			return Report{}, err
		}
	}
	var last time.Duration // a round of each
	for n := range plan.Rounds {
		began := time.Now()
		if n > 0 && !plan.Until.IsZero() && began.Add(last).After(plan.Until) {
			break
		}
		for _, s := range sides {
			progress(fmt.Sprintf("%s, round %d of %d", s.impl.Name, n+1, plan.Rounds))
			figures, err := s.measure(plan.Window)
			if err != nil {
				return Report{}, err
			}
			s.rounds = append(s.rounds, figures)
		}
		last = time.Since(began)
	}
	return newReport(sides[0].result(), sides[1].result()), nil
}

// side is an implementation under load.
type side struct {
	impl           peers.Implementation
	server, client *child
	rounds         []Figures
}

func (s *side) start(ctx context.Context, plan Plan) (err error) {
	s.server, err = start(ctx, plan.Program, ServerCommand, "--"+PeerFlag, s.impl.Name)
	if err != nil {
		return err
	}
	var hello serverHello
	if err := s.server.hear(&hello); err != nil {
		return err
	}
	s.client, err = start(ctx, plan.Program, ClientCommand, "--"+PeerFlag, s.impl.Name,
		"--"+TargetFlag, hello.Address, "--"+OutstandingFlag, strconv.Itoa(plan.Outstanding))
	return err
}

// stop ends the client first, so that the server sees it go.
func (s *side) stop() error {
	var errs []error
	for _, c := range []*child{s.client, s.server} {
		if c != nil {
			errs = append(errs, c.stop())
		}
	}
	return errors.Join(errs...)
}

// measure runs one window.
func (s *side) measure(window time.Duration) (Figures, error) {
	before, err := s.used()
	if err != nil {
		return Figures{}, err
	}
	var reply clientReply
	if err := s.client.ask(clientRequest{Window: window}, &reply); err != nil {
		return Figures{}, err
	}
	if reply.Error != "" {
		return Figures{}, fmt.Errorf("load over %s: %s", s.impl.Name, reply.Error)
	}
	after, err := s.used()
	if err != nil {
		return Figures{}, err
	}
	if after.Connections != 1 {
		return Figures{}, fmt.Errorf("load over %s: expected one connection; came %d", s.impl.Name, after.Connections)
	}
	return newFigures(reply.Window, after.Used.Sub(before.Used))
}

// used asks the server.
func (s *side) used() (serverReply, error) {
	var reply serverReply
	if err := s.server.ask(serverRequest{}, &reply); err != nil {
		return serverReply{}, err
	}
	if reply.Error != "" {
		return serverReply{}, fmt.Errorf("load on the server of %s: %s", s.impl.Name, reply.Error)
	}
	return reply, nil
}

func (s *side) result() Side {
	return Side{Name: s.impl.Name, Median: medians(s.rounds), Rounds: s.rounds}
}
