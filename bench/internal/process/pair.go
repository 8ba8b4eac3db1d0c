package process

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-rpc/weir/bench/internal/load"
	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/scenario"
	"github.com/weir-rpc/weir/bench/internal/usage"
)

// Pair is a server's process and a client's, with their connections. It is for
// one goroutine.
type Pair struct {
	scenario       scenario.Scenario
	server, client *child
	link           *child // nil where there is no delay
	dialed         int    // connections that the client made in runs
}

// Round is what one run measured on both sides.
type Round struct {
	Client load.Window `json:"client,omitzero"`
	Server Server      `json:"server,omitzero"`
	Idle   *Idle       `json:"idle,omitempty"` // of idle scenarios, which have nothing else
}

// Idle is what both processes held before and after something was opened, both
// times after they had settled.
type Idle struct {
	Opened int         `json:"opened"`
	Client BeforeAfter `json:"client"`
	Server BeforeAfter `json:"server"`
}

// BeforeAfter is what one process held.
type BeforeAfter struct {
	Before usage.Holds `json:"before"`
	After  usage.Holds `json:"after"`
}

// Server is what the server's process used during a run, and held in its
// middle.
type Server struct {
	Used   usage.Used  `json:"used"`
	Midway usage.Holds `json:"midway"`
}

// Programs are those of the processes. Own has to call Main when its first
// argument is Argument; Foreign is that of a foreign peer.
type Programs struct {
	Own, Foreign string
}

// Start starts the program of the peer twice. The end of ctx is the end of both processes; Stop waits for
// them.
func Start(ctx context.Context, programs Programs, peer peers.Peer, s scenario.Scenario) (*Pair, error) {
	p := &Pair{scenario: s}
	if err := p.start(ctx, programs, peer); err != nil {
		return nil, errors.Join(fmt.Errorf("%s of %s: %w", s.Name, peer.Name, err), p.Stop())
	}
	return p, nil
}

func (p *Pair) start(ctx context.Context, programs Programs, peer peers.Peer) (err error) {
	program := programs.Own
	if peer.Foreign {
		program = programs.Foreign
	}
	var id *identity
	if p.scenario.TLS {
		if id, err = newIdentity(); err != nil {
			return err
		}
	}
	var h hello
	p.server, h, err = start(ctx, program, setup{Role: server, Peer: peer.Name, Scenario: p.scenario, Identity: id})
	if err != nil {
		return err
	}
	if p.scenario.Delay > 0 {
		p.link, h, err = start(ctx, programs.Own, setup{Role: between, Peer: peer.Name, Scenario: p.scenario, Target: h.Address})
		if err != nil {
			return err
		}
	}
	p.client, _, err = start(ctx, program, setup{Role: client, Peer: peer.Name, Scenario: p.scenario, Identity: id, Target: h.Address})
	return err
}

// Run calls for the duration. Nothing else runs in the two processes between
// the readings of what they used.
func (p *Pair) Run(d time.Duration) (Round, error) {
	before, err := p.server.ask(request{Used: true})
	if err != nil {
		return Round{}, err
	}
	type result struct {
		reply

		err error
	}
	ran := make(chan result, 1)
	go func() {
		rep, err := p.client.ask(request{Run: d})
		ran <- result{rep, err}
	}()
	half := time.NewTimer(d / 2)
	defer half.Stop()
	var midway reply
	var r result
	select {
	case r = <-ran: // it failed, or the two clocks disagree
	case <-half.C:
		midway, err = p.server.ask(request{Glance: true})
		r = <-ran
	}
	if err := errors.Join(r.err, err); err != nil {
		return Round{}, err
	}
	after, err := p.server.ask(request{Used: true})
	if err != nil {
		return Round{}, err
	}
	p.dialed += r.Window.Dialed
	connected, fewest := p.scenario.Connected()
	if err := p.connections(connected+p.dialed, fewest); err != nil {
		return Round{}, err
	}
	return Round{
		Client: r.Window,
		Server: Server{Used: after.Used.Sub(before.Used), Midway: midway.Holds},
	}, nil
}

// Profile makes profiles of both processes until Profiled or Stop: of the CPU,
// and if asked for of what blocks, and of the mutexes that are waited for. The
// names of the files begin with the prefix and the side.
func (p *Pair) Profile(prefix string, contention bool) error {
	ask := func(c *child, side role) error {
		_, err := c.ask(request{Profile: &profile{Prefix: prefix + "." + string(side), Contention: contention}})
		return err
	}
	return errors.Join(ask(p.server, server), ask(p.client, client))
}

// Profiled ends and writes the profiles, if there are any.
func (p *Pair) Profiled() error {
	var errs []error
	for _, c := range []*child{p.client, p.server} {
		_, err := c.ask(request{Profiled: true})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// leftAlone is how long nothing happens before what is idle is measured: a peer
// may find out only after a while that it is idle.
const leftAlone = 3 * time.Second

// Open opens what the scenario leaves idle. It is called once.
func (p *Pair) Open() (Round, error) {
	idle := &Idle{Opened: p.scenario.Outstanding}
	if err := p.settle(&idle.Client.Before, &idle.Server.Before); err != nil {
		return Round{}, err
	}
	if _, err := p.client.ask(request{Open: true}); err != nil {
		return Round{}, err
	}
	<-time.After(leftAlone)
	if err := p.settle(&idle.Client.After, &idle.Server.After); err != nil {
		return Round{}, err
	}
	want, fewest := p.scenario.Connected()
	if p.scenario.Shape != scenario.IdleStreams {
		want += p.scenario.Outstanding
	}
	return Round{Idle: idle}, p.connections(want, fewest)
}

func (p *Pair) settle(ofClient, ofServer *usage.Holds) error {
	for _, side := range []struct {
		process *child
		to      *usage.Holds
	}{{p.client, ofClient}, {p.server, ofServer}} {
		rep, err := side.process.ask(request{Settle: true})
		if err != nil {
			return err
		}
		*side.to = rep.Holds
	}
	return nil
}

// connections fails unless that many have ever been made, or more if these are
// the fewest.
func (p *Pair) connections(want int, fewest bool) error {
	rep, err := p.server.ask(request{Glance: true})
	if err != nil {
		return err
	}
	if rep.Connections != int64(want) && (!fewest || rep.Connections < int64(want)) {
		return fmt.Errorf("%s: expected %d connections; came %d", p.server.name, want, rep.Connections)
	}
	return nil
}

// Stop ends the client first, so that the server sees it go. A second call does
// nothing.
func (p *Pair) Stop() error {
	var errs []error
	for _, c := range []*child{p.client, p.link, p.server} {
		if c != nil {
			errs = append(errs, c.stop())
		}
	}
	return errors.Join(errs...)
}
