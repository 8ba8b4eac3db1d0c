package flow

import "testing"

// Rows A46, A48, A49, A50: the window is signed, credit is taken in parts of
// any size, every update gives its credit back in full, and a change of
// INITIAL_WINDOW_SIZE counts from what is left, below zero too.
func TestOutFlow(t *testing.T) {
	type step struct {
		do        string
		n         int64
		ok        bool
		window    int64
		available int
	}
	tests := []struct {
		name  string
		init  uint32
		steps []step
	}{
		{"a large message goes out in parts", 65535, []step{
			{"consume", 16384, true, 49151, 49151},
			{"consume", 49151, true, 0, 0},
			{"consume", 0, true, 0, 0},
			{"add", 20000, true, 20000, 20000},
			{"consume", 20000, true, 0, 0},
		}},
		{"more credit than was used", 65535, []step{
			{"add", 100000, true, 165535, 165535},
			{"consume", 165535, true, 0, 0},
		}},
		{"SETTINGS make the window negative", 65535, []step{
			{"consume", 60000, true, 5535, 5535},
			{"adjust", 16384 - 65535, true, -43616, 0},
			{"consume", 0, true, -43616, 0},
			{"add", 43616, true, 0, 0},
			{"add", 1, true, 1, 1},
		}},
		{"SETTINGS unblock", 0, []step{
			{"adjust", 65535, true, 65535, 65535},
		}},
		{"up to 2^31-1", 65535, []step{
			{"add", MaxWindow - 65535, true, MaxWindow, MaxWindow},
			{"add", 0, true, MaxWindow, MaxWindow},
			{"add", 1, false, MaxWindow, MaxWindow},
			{"adjust", 1, false, MaxWindow, MaxWindow},
			{"consume", 1, true, MaxWindow - 1, MaxWindow - 1},
			{"add", 1, true, MaxWindow, MaxWindow},
		}},
		{"SETTINGS do not lift it over 2^31-1", 1, []step{
			{"add", MaxWindow - 65535, true, MaxWindow - 65534, MaxWindow - 65534},
			{"adjust", 65535, false, MaxWindow - 65534, MaxWindow - 65534},
		}},
		{"an increment beyond every window", 0, []step{
			{"add", 1<<32 - 1, false, 0, 0},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f OutFlow
			f.Consume(0) // a zero value has no credit, and none is needed for nothing
			f.Init(tt.init)
			for i, s := range tt.steps {
				ok := true
				switch s.do {
				case "consume":
					f.Consume(int(s.n))
				case "add":
					ok = f.Add(uint32(s.n))
				case "adjust":
					ok = f.Adjust(s.n)
				}
				if ok != s.ok || f.Window() != s.window || f.Available() != s.available {
					t.Fatalf("step %d, %s %d: %t, window %d, available %d; want %t, %d, %d",
						i, s.do, s.n, ok, f.Window(), f.Available(), s.ok, s.window, s.available)
				}
			}
		})
	}
}

// "A sender MUST NOT send a flow-controlled frame with a length that exceeds
// the space available in either of the flow-control windows advertised by the
// receiver."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.9.1
func TestConsumeBeyondAvailable(t *testing.T) {
	for _, tt := range []struct {
		name  string
		delta int64
		n     int
	}{
		{"one octet too many", 0, 65536},
		{"from a negative window", -70000, 1},
		{"a negative number", 0, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var f OutFlow
			f.Init(65535)
			f.Adjust(tt.delta)
			before := f.Window()
			wantPanic(t, func() { f.Consume(tt.n) })
			if f.Window() != before {
				t.Errorf("the window went from %d to %d", before, f.Window())
			}
		})
	}
}

// "If a sender receives a WINDOW_UPDATE that causes a flow-control window to
// exceed this maximum, it MUST terminate either the stream or the connection,
// as appropriate."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.9.1
//
// Row A47: an update past 2^31-1 is refused at every size of the window, and
// the sum does not wrap.
func TestAddBeyondMaximum(t *testing.T) {
	for _, window := range []uint32{0, 1, 65535, MaxWindow - 1, MaxWindow} {
		for _, n := range []uint32{1, 65535, MaxWindow, 1 << 31, 1<<32 - 1} {
			var f OutFlow
			f.Init(window)
			want, fits := int64(window), int64(window)+int64(n) <= MaxWindow
			if fits {
				want += int64(n)
			}
			if ok := f.Add(n); ok != fits || f.Window() != want {
				t.Errorf("%d + %d: %t, window %d, want %t, %d", window, n, ok, f.Window(), fits, want)
			}
		}
	}
}
