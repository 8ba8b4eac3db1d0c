package flow

import "testing"

// Rows A28, A44, B12: the window of 65,535 that every connection starts with is
// raised by exactly the difference, and a lower one is counted down to, without
// any increment that underflows.
func TestConnInFlow(t *testing.T) {
	type step struct {
		do     string
		n      uint32
		update uint32
		ok     bool
		window int64
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"the default", []step{
			{"init", 65535, 0, true, 65535},
			{"data", 16382, 0, true, 49153},
			{"data", 1, 16383, true, 65535},
		}},
		{"raised at the start", []step{
			{"init", 256 << 10, 256<<10 - 65535, true, 256 << 10},
			{"data", 64<<10 - 1, 0, true, 192<<10 + 1},
			{"data", 16384, 80<<10 - 1, true, 256 << 10},
		}},
		{"the largest", []step{
			{"init", MaxWindow, MaxWindow - 65535, true, MaxWindow},
			{"data", 1 << 30, 1 << 30, true, MaxWindow},
		}},
		{"beyond the largest", []step{
			{"init", 1<<32 - 1, MaxWindow - 65535, true, MaxWindow},
		}},
		{"below the default", []step{
			{"init", 16384, 0, true, 65535},
			{"data", 49151, 0, true, 16384},
			{"data", 4095, 0, true, 12289},
			{"data", 1, 4096, true, 16384},
			{"data", 16384, 16384, true, 16384},
		}},
		{"the smallest", []step{
			{"init", 0, 0, true, 65535},
			{"data", 65534, 0, true, 1},
			{"data", 1, 1, true, 1},
		}},
		{"exactly full, and one octet more", []step{
			{"init", 65535, 0, true, 65535},
			{"data", 65536, 0, false, 65535},
			{"data", 65535, 65535, true, 65535},
			{"data", 0, 0, true, 65535},
		}},
		{"gathered credit goes with a higher limit", []step{
			{"init", 65535, 0, true, 65535},
			{"data", 1000, 0, true, 64535},
			{"limit", 131070, 66535, true, 131070},
			{"limit", 131070, 0, true, 131070},
		}},
		{"lower and higher again", []step{
			{"init", 65535, 0, true, 65535},
			{"limit", 1000, 0, true, 65535},
			{"limit", 2000, 0, true, 65535},
			{"data", 65000, 1465, true, 2000},
			{"limit", 4000, 2000, true, 4000},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var f ConnInFlow
			for i, s := range tt.steps {
				update, ok := uint32(0), true
				switch s.do {
				case "init":
					update = f.Init(s.n)
				case "data":
					update, ok = f.OnData(s.n)
				case "limit":
					update = f.SetLimit(s.n)
				}
				if update != s.update || ok != s.ok || f.window != s.window {
					t.Fatalf("step %d, %s %d: update %d, %t, window %d; want %d, %t, %d",
						i, s.do, s.n, update, ok, f.window, s.update, s.ok, s.window)
				}
			}
		})
	}
}

// Row A39: credit of the connection returns though nobody reads: a stream that
// is stuck does not take it from the others.
func TestConnectionOutlivesUnreadStream(t *testing.T) {
	var conn ConnInFlow
	var stuck, read InFlow
	conn.Init(DefaultWindow)
	stuck.Init(DefaultWindow)
	read.Init(DefaultWindow)
	var peer OutFlow
	peer.Init(DefaultWindow)
	send := func(st *InFlow, n int) {
		t.Helper()
		peer.Consume(n)
		update, ok := conn.OnData(uint32(n))
		if !ok || !st.OnData(uint32(n)) {
			t.Fatalf("%d octets within the windows are refused", n)
		}
		peer.Add(update)
	}
	for range 4 {
		send(&stuck, DefaultWindow/4)
	}
	for range 100 {
		send(&read, 10000)
		read.OnRead(10000)
	}
	if stuck.Pending() != DefaultWindow/4*4 {
		t.Errorf("the stuck stream holds %d octets", stuck.Pending())
	}
}
