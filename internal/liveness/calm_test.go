package liveness

import (
	"testing"
	"time"

	"google.golang.org/grpc/keepalive"
)

func TestTooManyPings(t *testing.T) {
	tests := []struct {
		code  uint32
		debug string
		want  bool
	}{
		{0xb, "too_many_pings", true},
		{0xb, "too_many_pings!", false},
		{0xb, "", false},
		{0x0, "too_many_pings", false},
	}
	for _, tt := range tests {
		if got := TooManyPings(tt.code, []byte(tt.debug)); got != tt.want {
			t.Errorf("code %#x, %q: %v", tt.code, tt.debug, got)
		}
	}
}

// Row A88: too_many_pings doubles the Time that the connection had in effect, once for all that are told at the same time.
func TestCalmer(t *testing.T) {
	p := keepalive.ClientParameters{Time: sec, Timeout: 3 * sec, PermitWithoutStream: true}
	first := NewClient(p, 0, epoch)
	for range 3 { // connections
		p = Calmer(p, first.Time())
	}
	if p.Time != 20*sec || p.Timeout != 3*sec || !p.PermitWithoutStream {
		t.Fatalf("%+v, want a Time of 20s and the rest as it was", p)
	}
	second := NewClient(p, 0, epoch)
	if p = Calmer(p, second.Time()); p.Time != 40*sec {
		t.Errorf("the second time, Time is %v", p.Time)
	}
	if p = Calmer(p, 0); p.Time != 40*sec {
		t.Errorf("a connection without keepalive makes it %v", p.Time)
	}
	if p := Calmer(keepalive.ClientParameters{}, 0); p.Time != 0 {
		t.Errorf("keepalive that was off is on: %v", p.Time)
	}
	for _, long := range []time.Duration{Never/2 + 1, Never} {
		if p := Calmer(keepalive.ClientParameters{Time: long}, long); p.Time < long {
			t.Errorf("twice %v is %v", long, p.Time)
		}
	}
}
