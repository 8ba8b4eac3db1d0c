package liveness

import (
	"math"
	"testing"
	"time"

	"google.golang.org/grpc/keepalive"
)

// Row A71: idle begins when the last stream ends or the connection does, and ends with the first.
func TestLifetimeIdle(t *testing.T) {
	idle := func() *Lifetime {
		l := NewLifetime(keepalive.ServerParameters{MaxConnectionIdle: minute}, 0.5, epoch)
		return &l
	}
	t.Run("since it is ready", func(t *testing.T) {
		l := idle()
		want(t, l, 0, ActionNone, minute)
		want(t, l, minute-1, ActionNone, 1)
		want(t, l, minute, ActionDrainIdle, Never)
		want(t, l, time.Hour, ActionNone, Never) // told once
	})
	t.Run("since the last stream", func(t *testing.T) {
		l := idle()
		l.Streams(1, at(59*sec))
		want(t, l, time.Hour, ActionNone, Never)
		l.Streams(2, at(time.Hour))
		l.Streams(1, at(time.Hour))
		want(t, l, 2*time.Hour, ActionNone, Never)
		l.Streams(0, at(2*time.Hour))
		want(t, l, 2*time.Hour+sec, ActionNone, 59*sec)
		l.Streams(0, at(2*time.Hour+2*sec)) // had none already
		want(t, l, 2*time.Hour+minute, ActionDrainIdle, Never)
	})
	t.Run("not while it drains", func(t *testing.T) {
		l := idle()
		l.GoAwaySent(false, at(sec))
		want(t, l, time.Hour, ActionNone, Never)
	})
}

// Row A91: MaxConnectionAge has a jitter of a tenth either way, for any age.
// Row C16: an age of a few nanoseconds has no jitter, and does no harm.
func TestLifetimeJitter(t *testing.T) {
	tests := []struct {
		age    time.Duration
		random float64
		want   time.Duration
	}{
		{100 * sec, 0, 90 * sec},
		{100 * sec, 0.25, 95 * sec},
		{100 * sec, 0.5, 100 * sec},
		{100 * sec, 0.75, 105 * sec},
		{100 * sec, -1, 100 * sec},
		{100 * sec, 1, 100 * sec},
		{100 * sec, math.NaN(), 100 * sec},
		{9, 0, 9}, // no tenth
		{1, 0.99, 1},
		{Never, 0.9, Never},
	}
	for _, tt := range tests {
		if got := jitter(tt.age, tt.random); got != tt.want {
			t.Errorf("%v with %v: %v, want %v", tt.age, tt.random, got, tt.want)
		}
	}
	for _, random := range []float64{0, 0.5, math.Nextafter(1, 0)} {
		if got := jitter(Never, random); got < Never/10*9 {
			t.Errorf("the jitter of an infinite age, with %v, is %v", random, got)
		}
		if got := jitter(time.Hour, random); got < 54*minute || got > 66*minute {
			t.Errorf("the jitter of 1h, with %v, is %v", random, got)
		}
	}
}

func TestLifetimeAge(t *testing.T) {
	l := NewLifetime(keepalive.ServerParameters{MaxConnectionAge: 100 * sec}, 0.25, epoch)
	l.Streams(1, at(sec))
	want(t, &l, 95*sec-1, ActionNone, 1)
	want(t, &l, 95*sec, ActionDrainAge, Never)
	l.GoAwaySent(false, at(95*sec))
	l.GoAwaySent(true, at(96*sec))
	want(t, &l, 1000*time.Hour, ActionNone, Never) // without a grace, streams have for ever
}

// Row A91: the grace counts from the last GOAWAY of a drain, and only when the connection is old.
// Row C16: the grace does not count from the first GOAWAY.
func TestLifetimeGrace(t *testing.T) {
	p := keepalive.ServerParameters{MaxConnectionIdle: 50 * sec, MaxConnectionAge: 100 * sec, MaxConnectionAgeGrace: 10 * sec}
	grace := func() *Lifetime {
		l := NewLifetime(p, 0.5, epoch)
		l.Streams(1, at(sec))
		return &l
	}
	t.Run("from the last GOAWAY", func(t *testing.T) {
		l := grace()
		want(t, l, 100*sec, ActionDrainAge, Never)
		l.GoAwaySent(false, at(100*sec))
		want(t, l, 103*sec, ActionNone, Never) // the drain bounds the time between the two
		l.GoAwaySent(true, at(103*sec))
		l.GoAwaySent(true, at(109*sec)) // another does not prolong it
		want(t, l, 104*sec, ActionNone, 9*sec)
		want(t, l, 113*sec-1, ActionNone, 1)
		want(t, l, 113*sec, ActionCloseGrace, Never)
		want(t, l, time.Hour, ActionNone, Never)
	})
	t.Run("of one that drains when it comes of age", func(t *testing.T) {
		l := grace()
		l.GoAwaySent(true, at(20*sec))
		want(t, l, 20*sec, ActionNone, 90*sec)
		want(t, l, 100*sec, ActionNone, 10*sec) // not told to drain again
		want(t, l, 110*sec, ActionCloseGrace, Never)
	})
	t.Run("after a drain for idleness that a stream slipped into", func(t *testing.T) {
		l := grace()
		l.Streams(0, at(2*sec))
		want(t, l, 52*sec, ActionDrainIdle, Never)
		l.Streams(1, at(52*sec))
		l.GoAwaySent(true, at(53*sec))
		want(t, l, 110*sec, ActionCloseGrace, Never)
	})
}

// Of two reasons, the earlier is given; who is asked late has age as the reason.
func TestLifetimeIdleAndOld(t *testing.T) {
	l := NewLifetime(keepalive.ServerParameters{MaxConnectionIdle: 50 * sec, MaxConnectionAge: 60 * sec}, 0.5, epoch)
	late := l
	want(t, &l, 0, ActionNone, 50*sec)
	want(t, &l, 50*sec, ActionDrainIdle, Never)
	want(t, &late, 60*sec, ActionDrainAge, Never)

	old := NewLifetime(keepalive.ServerParameters{MaxConnectionIdle: 50 * sec, MaxConnectionAge: 40 * sec}, 0.5, epoch)
	want(t, &old, 0, ActionNone, 40*sec)
	want(t, &old, 40*sec, ActionDrainAge, Never)
}

func TestLifetimeForEver(t *testing.T) {
	for name, p := range map[string]keepalive.ServerParameters{
		"unset":              {},
		"negative":           {MaxConnectionIdle: -1, MaxConnectionAge: -1, MaxConnectionAgeGrace: -1},
		"a grace and no age": {MaxConnectionAgeGrace: sec},
	} {
		l := NewLifetime(p, 0, epoch)
		l.Streams(1, at(sec))
		l.Streams(0, at(2*sec))
		l.GoAwaySent(true, at(3*sec))
		if a, wait := l.Next(at(1000 * time.Hour)); a != ActionNone || wait != Never {
			t.Errorf("%s: %v, wait %v", name, a, wait)
		}
	}
	var zero Lifetime
	want(t, &zero, time.Hour, ActionNone, Never)
}
