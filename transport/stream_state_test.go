package transport

import "testing"

// Rows A72, A82: END_STREAM is an arrow of the state machine, on either side.
func TestStreamStateArrows(t *testing.T) {
	type arrow func(*streamState) bool
	open := func(s *streamState) bool { s.open(); return false }
	sendEnd, recvEnd := (*streamState).sendEnd, (*streamState).recvEnd
	arrows := map[string]arrow{"open": open, "sendEnd": sendEnd, "recvEnd": recvEnd}
	allowed := map[streamState]map[string]streamState{
		stateIdle:             {"open": stateOpen},
		stateOpen:             {"sendEnd": stateHalfClosedLocal, "recvEnd": stateHalfClosedRemote},
		stateHalfClosedLocal:  {"recvEnd": stateClosed},
		stateHalfClosedRemote: {"sendEnd": stateClosed},
		stateClosed:           {},
	}
	for from, to := range allowed {
		for name, a := range arrows {
			t.Run(from.String()+" "+name, func(t *testing.T) {
				want, ok := to[name]
				defer func() {
					if r := recover(); (r != nil) == ok {
						t.Errorf("allowed %v, panic %v", ok, r)
					}
				}()
				s := from
				if closed := a(&s); s != want || closed != (want == stateClosed) {
					t.Errorf("went to %v (closed %v), want %v", s, closed, want)
				}
			})
		}
	}
	for s := stateIdle; s <= stateClosed; s++ {
		_, send := allowed[s]["sendEnd"]
		_, recv := allowed[s]["recvEnd"]
		if s.canSend() != send || s.canRecv() != recv {
			t.Errorf("%v: canSend %v, canRecv %v", s, s.canSend(), s.canRecv())
		}
	}
}
