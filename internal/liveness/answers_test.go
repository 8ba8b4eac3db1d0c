package liveness

import (
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/grpc/keepalive"
)

// looks plays looks in a row, one a character: what a look sees, and what it is to
// decide.
//
//	. nothing came       r octets came, of no call      a an answer came
//	o a call was begun   k the PING was acknowledged    0 no call is open
func looks(t *testing.T, a *Answers, seen, want string) {
	t.Helper()
	s := a.seen
	var got []byte
	for _, c := range seen {
		s.Calls = 1
		switch c {
		case '0':
			s.Calls = 0
		case 'o':
			s.Opened++
		case 'r':
			s.Received++
		case 'a':
			s.Received++
			s.Answers++
		case 'k':
			s.Received++
			a.Acknowledged(s.Answers)
		}
		v, next := a.Look(s)
		switch {
		case !next:
			got = append(got, '0')
		default:
			got = append(got, "-psle"[v])
		}
	}
	if string(got) != want {
		t.Errorf("%q gave %q, want %q", seen, got, want)
	}
}

func TestAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		keepalive  bool
		seen, want string
	}{
		"a server is gone":                    {false, "o............", "---p-s-l-e---"},
		"and calls go on to be begun":         {false, "oooooooooo", "---p-s-l-e"},
		"octets of any kind are an answer":    {false, "o..r..r..r..r...", "---------------p"},
		"what is on its way when it is asked": {false, "o...a...........", "---p------------"},
		"one that is there is asked once":     {false, "o...k...........................", "---p----------------------------"},
		"and once more for another call":      {false, "o...k......o...k........o..........", "---p---------p---------------------"},
		"and again behind an answer":          {false, "o...k....a...k....a...", "---p--------p--------p"},
		"not when the answer came before":     {false, "o...a..k.......", "---p-----------"},
		"with keepalive not for a call":       {true, "o...k......o...k.......", "---p-------------------"},
		"gone after it was asked":             {false, "o...k...o............", "---p------p-s-l-e----"},
		"without calls":                       {false, "o00", "-00"},
		"calls that come and go":              {false, "oar0", "---0"},
		"it is counted from the call on":      {false, "o.00o...", "--00---p"},
	} {
		t.Run(name, func(t *testing.T) {
			looks(t, &Answers{Keepalive: tt.keepalive}, tt.seen, tt.want)
		})
	}
}

// No server that enforces as grpc-go's do is ever asked too often, whatever comes
// and goes, by a client that is asked nothing but Look.
func TestAnswers_NoServerHasEnough(t *testing.T) {
	for seed := range uint64(2000) {
		dice := rand.New(rand.NewPCG(seed, 7))
		server := NewEnforcement(keepalive.EnforcementPolicy{MinTime: time.Hour})
		now := time.Unix(0, 0)
		var a Answers
		var s Seen
		acks := -1 // looks until the PING is acknowledged
		for i := range 400 {
			now = now.Add(time.Second)
			s.Calls = dice.IntN(8)
			if dice.IntN(10) == 0 {
				s.Opened++
			}
			if acks == 0 {
				a.Acknowledged(s.Answers)
				s.Received++
			}
			acks--
			if dice.IntN(30) == 0 { // it is sent behind the acknowledgement, or before there was a PING
				if acks < 0 {
					server.Sent()
				}
				s.Answers++
				s.Received++
			}
			if v, _ := a.Look(s); v == VerdictAsk {
				acks = dice.IntN(6)
				if server.Ping(now, dice.IntN(2)) {
					t.Fatalf("seed %d: one PING too many at look %d", seed, i)
				}
			}
		}
	}
}
