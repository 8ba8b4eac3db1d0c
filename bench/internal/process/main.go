package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"

	"github.com/weir-rpc/weir/bench/internal/load"
	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/scenario"
	"github.com/weir-rpc/weir/bench/internal/usage"
)

// Main is the whole of a process of the benchmark. It returns its exit status.
//
// It ignores interrupts: those of a terminal are for the process that started
// this one, which then ends its input.
func Main(in io.Reader, out, errOut io.Writer) int {
	signal.Ignore(os.Interrupt)
	// That this program can write profiles costs nobody samples of the heap.
	runtime.MemProfileRate = 0
	if err := serve(in, out); err != nil {
		fmt.Fprintln(errOut, err)
		return 1
	}
	return 0
}

// side is a server or a client.
type side interface {
	// hello is said once all stands.
	hello() hello
	answer(ctx context.Context, req request) (reply, error)
	close() error
}

func serve(in io.Reader, out io.Writer) (err error) {
	lines, answers := json.NewDecoder(in), json.NewEncoder(out)
	var s setup
	if err := lines.Decode(&s); err != nil {
		return fmt.Errorf("expected a setup; came %w", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var me side
	switch s.Role {
	case server:
		me, err = newServerSide(ctx, s)
	case client:
		me, err = newClientSide(ctx, s)
	case between:
		me, err = newLinkSide(ctx, s)
	default:
		err = fmt.Errorf("expected the role of a server or a client; came %q", s.Role)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, me.close()) }()
	if err := answers.Encode(me.hello()); err != nil {
		return err
	}
	// Requests are read while one is answered: the end of the input ends it.
	requests := make(chan request)
	go func() {
		for {
			var req request
			if err := lines.Decode(&req); err != nil {
				cancel(err)
				return
			}
			select {
			case requests <- req:
			case <-ctx.Done():
				return
			}
		}
	}()
	var prof profiler
	defer func() { err = errors.Join(err, prof.end()) }()
	for {
		select {
		case req := <-requests:
			rep, err := answer(ctx, me, &prof, req)
			if err != nil {
				rep.Error = err.Error()
			}
			if err := answers.Encode(rep); err != nil {
				return err
			}
		case <-ctx.Done():
			if err := context.Cause(ctx); !errors.Is(err, io.EOF) {
				return err
			}
			return nil
		}
	}
}

func answer(ctx context.Context, me side, prof *profiler, req request) (reply, error) {
	switch {
	case req.Profile != nil:
		return reply{}, prof.start(*req.Profile)
	case req.Profiled:
		return reply{}, prof.end()
	}
	return me.answer(ctx, req)
}

// look answers what both sides are asked.
func look(req request) (rep reply, err error) {
	switch {
	case req.Used:
		rep.Used, err = usage.Now()
	case req.Glance:
		rep.Holds, err = usage.Glance()
	case req.Settle:
		rep.Holds, err = usage.Settle()
	default:
		err = errors.New("expected a request that asks for something")
	}
	return rep, err
}

// config is what a scenario asks of either side.
func (s setup) config() (peers.Config, error) {
	tls, err := s.Identity.config()
	return peers.Config{
		TLS: tls, Deadline: s.Scenario.Deadline, Observed: s.Scenario.Observed,
		Slots: s.Scenario.Slots, Sleep: s.Scenario.Sleep, Turns: s.Scenario.Turns,
	}, err
}

// peer gives the peer of a side, and what that is told.
func (s setup) peer() (peers.Peer, peers.Config, error) {
	peer, err := peers.Named(s.Peer)
	if err != nil {
		return peers.Peer{}, peers.Config{}, err
	}
	cfg, err := s.config()
	return peer, cfg, err
}

type clientSide struct {
	clients []peers.Client
	caller  *load.Caller
	idle    *load.Idle
}

func newClientSide(ctx context.Context, s setup) (*clientSide, error) {
	peer, cfg, err := s.peer()
	if err != nil {
		return nil, err
	}
	if s.Scenario.Shape == scenario.IdleAddresses {
		if s.Target, err = loopbackOf(s.Target); err != nil {
			return nil, err
		}
	}
	dial := func() (peers.Client, error) { return peer.Client.Dial(s.Target, cfg) }
	if s.Scenario.Connections < 1 {
		return nil, errors.New("expected a scenario with connections; came one without")
	}
	me := new(clientSide)
	for range s.Scenario.Connections {
		c, err := dial()
		if err != nil {
			return nil, errors.Join(err, me.close())
		}
		me.clients = append(me.clients, c)
		// Connections stand before the first measured call, and are as many as
		// there should be: some clients make more for calls that come at once.
		if err := load.Once(ctx, s.Scenario, c); err != nil {
			return nil, errors.Join(err, me.close())
		}
		if err := peers.Reach(ctx, c, s.Scenario.Addresses); err != nil {
			return nil, errors.Join(err, me.close())
		}
	}
	switch {
	case s.Scenario.Shape == scenario.IdleAddresses:
		list, err := addressesFrom(s.Target, s.Scenario.Outstanding)
		if err != nil {
			return nil, errors.Join(err, me.close())
		}
		me.idle = load.NewIdle(s.Scenario, me.clients[0], func() (peers.Client, error) { return peer.Client.Dial(list, cfg) })
	case s.Scenario.Idle():
		me.idle = load.NewIdle(s.Scenario, me.clients[0], dial)
	default:
		me.caller = load.NewCaller(s.Scenario, me.clients, dial)
	}
	return me, nil
}

func (c *clientSide) hello() hello { return hello{} }

func (c *clientSide) answer(ctx context.Context, req request) (rep reply, err error) {
	switch {
	case req.Run > 0 && c.caller != nil:
		rep.Window, err = c.caller.Run(ctx, req.Run)
		return rep, err
	case req.Open && c.idle != nil:
		return rep, c.idle.Open(ctx)
	case req.Run > 0 || req.Open:
		return rep, errors.New("expected a request that is for the scenario; came one for others")
	}
	return look(req)
}

func (c *clientSide) close() error {
	var errs []error
	if c.idle != nil {
		errs = append(errs, c.idle.Close())
	}
	for _, client := range c.clients {
		errs = append(errs, client.Close())
	}
	return errors.Join(errs...)
}
