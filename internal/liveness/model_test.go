package liveness

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/keepalive"
)

// world is a client and a server with a network between them, which is cut some
// day. Each has a Schedule and one timer, set as Schedule says and not otherwise,
// and a judge who keeps his own record and knows gRPC's rules.
type world struct {
	t      *testing.T
	rand   *rand.Rand
	now    time.Duration
	cut    time.Duration // what arrives later is lost, as is what arrives at a side that is closed
	client *side
	server *side
	nextID int
}

type side struct {
	*world
	name string
	s    Schedule
	peer *side
	lazy bool // tells of reads just before Next only

	timer   time.Duration // none if negative
	wire    []frame       // to the peer, in order
	streams []int
	closed  bool

	// What the judge knows.
	time, timeout time.Duration
	always        bool
	read, asked   time.Duration // asked is negative before the first PING
	busy          time.Duration // has had streams since; negative if it has none
	pings, acks   int

	// Of a server; 0 is for ever.
	idle, old, grace time.Duration
	unused           time.Duration // has had no stream since
	last             time.Duration // GOAWAY; negative if there was none
	drains           bool
	drained          Action
}

type kind int

const (
	ping kind = iota
	pingAck
	headers
	data
	reset
	trailers
	goAway
)

type frame struct {
	kind   kind
	stream int
	at     time.Duration // of arrival
}

func newWorld(t *testing.T, seed uint64) *world {
	r := rand.New(rand.NewPCG(seed, 35))
	between := func(least, most time.Duration) time.Duration {
		return least + time.Duration(r.Int64N(int64(most-least)))
	}
	either := func(d time.Duration) time.Duration {
		if r.IntN(2) == 0 {
			return 0
		}
		return d
	}
	w := &world{t: t, rand: r, cut: between(0, 20*minute)}

	// The client keeps to what the server permits, to the nanosecond perhaps.
	cp := keepalive.ClientParameters{Time: between(10*sec, 100*sec), Timeout: between(sec, 40*sec), PermitWithoutStream: r.IntN(2) == 0}
	ep := keepalive.EnforcementPolicy{MinTime: cp.Time - either(between(0, 9*sec)), PermitWithoutStream: cp.PermitWithoutStream}
	sp := keepalive.ServerParameters{
		Time: between(5*sec, 200*sec), Timeout: between(sec, 40*sec), MaxConnectionIdle: either(between(sec, 100*sec)),
		MaxConnectionAge: either(between(minute, 10*minute)), MaxConnectionAgeGrace: either(between(sec, 100*sec)),
	}
	random := r.Float64()
	w.client = &side{
		world: w, name: "client", s: NewClient(cp, 0, epoch), lazy: r.IntN(2) == 0,
		time: cp.Time, timeout: cp.Timeout, always: cp.PermitWithoutStream,
		asked: -1, busy: -1, last: -1,
	}
	w.server = &side{
		world: w, name: "server", s: NewServer(sp, ep, random, epoch), lazy: r.IntN(2) == 0,
		time: sp.Time, timeout: sp.Timeout, always: true,
		idle: sp.MaxConnectionIdle, old: jitter(sp.MaxConnectionAge, random), grace: sp.MaxConnectionAgeGrace,
		asked: -1, busy: -1, last: -1,
	}
	w.client.peer, w.server.peer = w.server, w.client
	return w
}

// run goes from event to event until both sides are closed or nothing more can
// happen for a long time.
func (w *world) run() {
	w.client.ask()
	w.server.ask()
	app := time.Duration(0)
	for w.now < time.Hour && (!w.client.closed || !w.server.closed) {
		w.now = app
		next := func() { app = w.now + w.pause(); w.app() }
		for _, s := range []*side{w.client, w.server} {
			if !s.closed && s.timer >= 0 && s.timer <= w.now {
				w.now, next = s.timer, s.ask
			}
			if len(s.wire) > 0 && s.wire[0].at <= w.now {
				w.now, next = s.wire[0].at, s.deliver
			}
		}
		next()
		w.client.judge()
		w.server.judge()
		if w.t.Failed() {
			return
		}
	}
}

// pause is how long the applications do nothing: moments, or minutes.
func (w *world) pause() time.Duration {
	return time.Duration(w.rand.Int64N(int64(sec) << w.rand.IntN(10)))
}

// app is what applications do: they open streams, send, cancel and answer.
func (w *world) app() {
	c, s := w.client, w.server
	switch w.rand.IntN(6) {
	case 0, 1:
		if !c.closed && !s.drains && len(c.streams) < 3 {
			w.nextID++
			c.send(headers, w.nextID)
			c.setStreams(append(c.streams, w.nextID))
		}
	case 2:
		if !c.closed && len(c.streams) > 0 {
			id := c.streams[w.rand.IntN(len(c.streams))]
			c.send(reset, id)
			c.remove(id)
		}
	case 3:
		if from := []*side{c, s}[w.rand.IntN(2)]; !from.closed && len(from.streams) > 0 {
			from.send(data, from.streams[0])
		}
	default:
		if !s.closed && len(s.streams) > 0 {
			id := s.streams[w.rand.IntN(len(s.streams))]
			s.send(trailers, id)
			s.remove(id)
		}
	}
}

func (s *side) send(k kind, stream int) {
	arrival := s.now + time.Duration(s.rand.Int64N(int64(400*time.Millisecond)))
	if n := len(s.wire); n > 0 {
		arrival = max(arrival, s.wire[n-1].at)
	}
	s.wire = append(s.wire, frame{k, stream, arrival})
	if k == headers || k == data || k == trailers {
		s.s.Sent()
	}
}

// deliver is the peer's read of the first frame on the wire.
func (s *side) deliver() {
	f, p := s.wire[0], s.peer
	s.wire = s.wire[1:]
	if s.now > s.cut || p.closed {
		return
	}
	p.read = s.now
	if !p.lazy {
		p.s.Activity(at(s.now))
	}
	switch f.kind {
	case ping, pingAck:
		if p.s.PingReceived(f.kind == pingAck, at(s.now)) {
			s.t.Errorf("after %v: %s sends too many PING frames, though it keeps to what is permitted", s.now, s.name)
		}
		if f.kind == ping {
			p.send(pingAck, 0)
		} else {
			p.acks++
		}
	case headers:
		p.setStreams(append(p.streams, f.stream))
	case reset, trailers:
		p.remove(f.stream)
	}
}

func (s *side) remove(id int) {
	if i := slices.Index(s.streams, id); i >= 0 {
		s.setStreams(slices.Delete(s.streams, i, i+1))
	}
}

func (s *side) setStreams(ids []int) {
	switch {
	case len(ids) == 0 && len(s.streams) > 0:
		s.busy, s.unused = -1, s.now
	case len(ids) > 0 && len(s.streams) == 0:
		s.busy = s.now
	}
	s.streams = ids
	if s.s.Streams(len(ids), at(s.now)) {
		s.ask()
	}
}

// ask asks Next, sets the timer and does what it is told, if there is cause.
func (s *side) ask() {
	s.s.Activity(at(s.read))
	a, wait := s.s.Next(at(s.now))
	s.timer = -1
	if wait != Never {
		s.timer = s.now + wait
	}
	if a == ActionNone && wait <= 0 {
		s.t.Fatalf("after %v: the timer of %s spins", s.now, s.name)
	}
	if cause, ok := s.cause(a); !ok || cause != s.now {
		s.t.Errorf("after %v: %s is told to %v; there is cause: %v, since %v", s.now, s.name, a, ok, cause)
	}
	switch a {
	case ActionPing:
		s.asked = s.now
		s.pings++
		s.send(ping, 0)
	case ActionDrainIdle, ActionDrainAge:
		s.drains, s.drained = true, a
		s.send(goAway, 0)
		s.s.GoAwaySent(false, at(s.now))
		s.last = s.now // the two GOAWAY frames go together here
		if s.s.GoAwaySent(true, at(s.now)) {
			s.ask()
		}
	case ActionCloseDead, ActionCloseGrace:
		s.closed = true
	}
}

// cause is since when there is cause for a.
func (s *side) cause(a Action) (since time.Duration, ok bool) {
	switch a {
	case ActionPing:
		return max(s.read+s.time, s.busy), s.asked <= s.read && (s.busy >= 0 || s.always)
	case ActionCloseDead:
		// No answer takes Timeout on this network.
		return s.asked + s.timeout, s.asked > s.read && (s.now > s.cut || s.peer.closed)
	case ActionDrainIdle:
		return s.unused + s.idle, s.idle > 0 && s.busy < 0 && !s.drains
	case ActionDrainAge:
		return s.old, s.old > 0 && !s.drains
	case ActionCloseGrace:
		return max(s.old, s.last) + s.grace, s.old > 0 && s.grace > 0 && s.drains
	default:
		return s.now, true
	}
}

// judge looks for what should have happened.
func (s *side) judge() {
	if s.closed {
		return
	}
	for a := ActionPing; a <= ActionCloseDead; a++ {
		if since, ok := s.cause(a); ok && since < s.now {
			s.t.Errorf("after %v: %s is not told to %v, which was due after %v", s.now, s.name, a, since)
		}
	}
	if s.busy < 0 && !s.always {
		return
	}
	if bound := max(s.read+s.time, s.busy) + s.timeout; bound < s.now {
		s.t.Errorf("after %v: nothing was read by %s since %v, and it is not closed; Time %v, Timeout %v", s.now, s.name, s.read, s.time, s.timeout)
	}
}

// Rows A86, A87, A88, A91: whatever two peers do, a dead one is found within Time and Timeout of its last octet, a living one is not closed, nobody asks without cause or too often, and one timer is enough.
func TestScheduleModel(t *testing.T) {
	seen := make(map[Action]int)
	var acks int
	for seed := range uint64(3000) {
		w := newWorld(t, seed)
		w.run()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		for _, s := range []*side{w.client, w.server} {
			acks += s.acks
			seen[ActionPing] += s.pings
			seen[s.drained]++
			_, wait := s.s.Next(at(time.Hour))
			switch {
			case s.closed && wait != Never:
				t.Errorf("seed %d: a closed %s waits for %v", seed, s.name, wait)
			case s.closed && s.asked > s.read:
				seen[ActionCloseDead]++
			case s.closed:
				seen[ActionCloseGrace]++
			}
		}
	}
	t.Logf("%v, %d acks", seen, acks)
	for a := ActionPing; a <= ActionCloseDead; a++ {
		if seen[a] < 50 {
			t.Errorf("only %d times %v: the model does not go there", seen[a], a)
		}
	}
	if acks < 1000 {
		t.Errorf("only %d PING frames were answered: the model does not go there", acks)
	}
}

// A client that pings without streams, where that is not permitted, is told so.
// It shows as well that the judge of TestScheduleModel sees such a thing.
func TestScheduleModelImpolite(t *testing.T) {
	server := NewServer(keepalive.ServerParameters{}, keepalive.EnforcementPolicy{MinTime: sec}, 0.5, epoch)
	client := NewClient(keepalive.ClientParameters{Time: 10 * sec, PermitWithoutStream: true}, 0, epoch)
	var pings int
	for now := time.Duration(0); ; {
		a, wait := client.Next(at(now))
		if a == ActionPing {
			pings++
			if server.PingReceived(false, at(now)) {
				break
			}
			client.Activity(at(now))
		}
		if pings > 10 {
			t.Fatal("it is not told")
		}
		now += wait
	}
	if pings != 4 {
		t.Errorf("%d PING frames, want 4: one, and three strikes", pings)
	}
}
