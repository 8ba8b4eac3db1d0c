package flow

import "testing"

type inStep struct {
	do     string
	n      uint32
	update uint32 // of read, raise and limit
	ok     bool   // of data and limit
	window int64
}

func runIn(t *testing.T, f *InFlow, steps []inStep) {
	t.Helper()
	for i, s := range steps {
		var update uint32
		var ok bool
		switch s.do {
		case "data":
			ok = f.OnData(s.n)
		case "read":
			update = f.OnRead(s.n)
		case "raise":
			update = f.Raise(s.n)
		case "limit":
			update, ok = f.SetLimit(s.n)
		case "acked":
			f.Acked()
		default:
			t.Fatalf("no step %q", s.do)
		}
		if update != s.update || ok != s.ok || f.window() != s.window {
			t.Fatalf("step %d, %s %d: update %d, %t, window %d; want %d, %t, %d",
				i, s.do, s.n, update, ok, f.window(), s.update, s.ok, s.window)
		}
	}
}

// Rows A40, A41, A52: filling the window is legal, one octet more is not and
// is not counted, what is read but not granted does not come back silently,
// and DATA without octets needs no credit.
func TestInFlowOverrun(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit uint32
		steps []inStep
	}{
		{"exactly full", 65535, []inStep{
			{"data", 65535, 0, true, 0},
			{"data", 0, 0, true, 0},
			{"data", 1, 0, false, 0},
			{"read", 65535, 65535, false, 65535},
			{"data", 65535, 0, true, 0},
		}},
		{"an overrun counts nothing", 65535, []inStep{
			{"data", 65536, 0, false, 65535},
			{"data", 1<<32 - 1, 0, false, 65535},
			{"data", 65535, 0, true, 0},
		}},
		{"read, but not granted again", 1000, []inStep{
			{"data", 900, 0, true, 100},
			{"read", 249, 0, false, 100},
			{"data", 101, 0, false, 100},
			{"data", 100, 0, true, 0},
		}},
		{"a limit of nothing", 0, []inStep{
			{"data", 0, 0, true, 0},
			{"data", 1, 0, false, 0},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var f InFlow
			f.Init(tt.limit)
			runIn(t, &f, tt.steps)
		})
	}
}

// Rows A42, A43: what was read is granted again, all of it and nothing else,
// from a quarter of the limit on.
func TestInFlowUpdates(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit uint32
		steps []inStep
	}{
		{"all is read at once", 65536, []inStep{
			{"data", 60000, 0, true, 5536},
			{"read", 60000, 60000, false, 65536},
		}},
		{"little is read of much", 65536, []inStep{
			{"data", 60000, 0, true, 5536},
			{"read", 1000, 0, false, 5536},
			{"read", 15383, 0, false, 5536},
			{"read", 1, 16384, false, 21920},
			{"read", 16383, 0, false, 21920},
		}},
		{"the smallest windows move", 1, []inStep{
			{"data", 1, 0, true, 0},
			{"read", 1, 1, false, 1},
			{"data", 1, 0, true, 0},
			{"read", 0, 0, false, 0},
		}},
		{"the largest window", MaxWindow, []inStep{
			{"data", 1 << 30, 0, true, MaxWindow - 1<<30},
			{"read", 1<<29 - 2, 0, false, MaxWindow - 1<<30},
			{"read", 1, 1<<29 - 1, false, MaxWindow - 1<<29 - 1},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var f InFlow
			f.Init(tt.limit)
			runIn(t, &f, tt.steps)
		})
	}
}

// Row A45: a message that does not fit the window gets its room at once and
// once, reads give it back before they gather, and nothing passes 2^31-1.
func TestInFlowRaise(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit uint32
		steps []inStep
	}{
		{"it fits", 65536, []inStep{
			{"data", 16384, 0, true, 49152},
			{"raise", 49152, 0, false, 49152},
		}},
		{"a megabyte through 64 KiB", 65536, []inStep{
			{"data", 16384, 0, true, 49152},
			{"raise", 1<<20 - 16384, 1<<20 - 65536, false, 1<<20 - 16384},
			{"raise", 1<<20 - 16384, 0, false, 1<<20 - 16384},
			{"data", 1<<20 - 16384, 0, true, 0},
			{"data", 1, 0, false, 0},
			{"read", 1 << 20, 65536, false, 65536},
			{"data", 65536, 0, true, 0},
		}},
		{"the loan goes back before credit is gathered", 1000, []inStep{
			{"data", 10, 0, true, 990},
			{"raise", 1990, 1000, false, 1990},
			{"data", 1990, 0, true, 0},
			{"read", 999, 0, false, 0},
			{"read", 1, 0, false, 0},
			{"read", 249, 0, false, 0},
			{"read", 1, 250, false, 250},
		}},
		{"what is gathered goes first", 1000, []inStep{
			{"data", 600, 0, true, 400},
			{"read", 200, 0, false, 400},
			{"raise", 500, 200, false, 600}, // all that is gathered, no loan
			{"raise", 900, 300, false, 900}, // a loan of 300
			{"data", 900, 0, true, 0},
			{"read", 300, 0, false, 0},
			{"read", 1000, 1000, false, 1000},
		}},
		{"padding takes room, the next fragment gives it back", 1000, []inStep{
			{"data", 100, 0, true, 900},
			{"raise", 5000, 4100, false, 5000},
			{"data", 400, 0, true, 4600}, // 100 of it are padding
			{"read", 100, 0, false, 4600},
			{"raise", 4700, 100, false, 4700},
			{"data", 4700, 0, true, 0},
			{"read", 5100, 1000, false, 1000},
		}},
		{"padding below the threshold, of a message that just fitted", 1000, []inStep{
			{"data", 100, 0, true, 900},
			{"raise", 900, 0, false, 900},
			{"data", 101, 0, true, 799}, // 1 of it is padding
			{"read", 1, 0, false, 799},
			{"raise", 800, 1, false, 800},
		}},
		{"unread messages stand before it", 1000, []inStep{
			{"data", 1000, 0, true, 0},
			{"raise", 600, 600, false, 600},
			{"data", 600, 0, true, 0},
			{"read", 1600, 1000, false, 1000},
		}},
		{"up to 2^31-1", 65535, []inStep{
			{"data", 5, 0, true, 65530},
			{"raise", MaxWindow, MaxWindow - 65530, false, MaxWindow},
		}},
		{"a message beyond 2^31-1 gets its room as it comes", 65535, []inStep{
			{"data", 5, 0, true, 65530},
			{"raise", 1<<32 - 1, MaxWindow - 65530, false, MaxWindow},
			{"data", 1 << 30, 0, true, MaxWindow - 1<<30},
			{"raise", 1<<32 - 1 - 1<<30, 1 << 30, false, MaxWindow},
			{"data", 16384, 0, true, MaxWindow - 16384},
			{"raise", 1<<32 - 1 - 1<<30 - 16384, 0, false, MaxWindow - 16384},
		}},
		{"room below 2^31-1 is what the peer's own count allows", 1 << 30, []inStep{
			{"limit", 1 << 20, 0, true, 1 << 20},
			// The peer may not have heard yet and have 2^30 octets.
			{"raise", 1<<31 - 1, 1<<30 - 1, false, 1<<30 + 1<<20 - 1},
			{"acked", 0, 0, false, 1<<30 + 1<<20 - 1},
			{"raise", 1<<31 - 1, 1<<30 - 1<<20, false, MaxWindow},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var f InFlow
			f.Init(tt.limit)
			runIn(t, &f, tt.steps)
		})
	}
}

// "However, the receiver MUST be prepared to receive data that exceeds this
// window size, since the sender might send data that exceeds the lower limit
// prior to processing the SETTINGS frame."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.9.3
func TestInFlowSetLimit(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit uint32
		steps []inStep
	}{
		{"a lower limit binds from its ACK on", 65535, []inStep{
			{"limit", 16384, 0, true, 16384},
			{"data", 65536, 0, false, 16384},
			{"data", 30000, 0, true, -13616},
			{"data", 0, 0, true, -13616},
			{"data", 30000, 0, true, -43616},
			{"acked", 0, 0, false, -43616},
			{"data", 1, 0, false, -43616},
			{"data", 0, 0, true, -43616},
			{"read", 43616, 43616, false, 0},
			{"data", 1, 0, false, 0},
			{"read", 16384, 16384, false, 16384},
			{"data", 16384, 0, true, 0},
		}},
		{"the highest of several counts until all are acknowledged", 1000, []inStep{
			{"limit", 3000, 0, true, 3000},
			{"limit", 2000, 0, true, 2000},
			{"data", 3000, 0, true, -1000},
			{"data", 1, 0, false, -1000},
			{"acked", 0, 0, false, -1000},
			{"read", 3000, 3000, false, 2000},
			{"data", 2001, 0, false, 2000},
		}},
		{"the peer starts with the default, whatever our first SETTINGS say", DefaultWindow, []inStep{
			{"limit", 1024, 0, true, 1024},
			{"data", DefaultWindow, 0, true, 1024 - DefaultWindow},
			{"acked", 0, 0, false, 1024 - DefaultWindow},
			{"read", DefaultWindow, DefaultWindow, false, 1024},
		}},
		{"what is gathered is enough for a lower limit", 16384, []inStep{
			{"data", 1332, 0, true, 15052},
			{"read", 1332, 0, false, 15052},
			{"limit", 192, 1332, true, 192},
		}},
		{"a higher limit holds at once", 1000, []inStep{
			{"data", 1000, 0, true, 0},
			{"limit", 5000, 0, true, 4000},
			{"data", 4000, 0, true, 0},
			{"acked", 0, 0, false, 0},
			{"read", 1249, 0, false, 0},
			{"read", 1, 1250, false, 1250},
		}},
		{"a higher limit covers what was raised", 1000, []inStep{
			{"data", 500, 0, true, 500},
			{"raise", 2500, 2000, false, 2500},
			{"limit", 3000, 0, true, 4500},
			{"data", 4500, 0, true, 0},
			{"read", 5000, 3000, false, 3000},
		}},
		{"not past 2^31-1", 1000, []inStep{
			{"raise", MaxWindow, MaxWindow - 1000, false, MaxWindow},
			{"limit", 1001, 0, false, MaxWindow},
			{"data", 1, 0, true, MaxWindow - 1},
			{"limit", 1001, 0, true, MaxWindow},
			{"limit", 1 << 31, 0, false, MaxWindow},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var f InFlow
			f.Init(tt.limit)
			runIn(t, &f, tt.steps)
		})
	}
}

func TestInFlowPending(t *testing.T) {
	var f InFlow
	f.Init(1000)
	if n := f.Pending(); n != 0 {
		t.Errorf("%d octets wait to be read before any came", n)
	}
	f.OnData(700)
	f.OnRead(100)
	if n := f.Pending(); n != 600 {
		t.Errorf("%d octets wait to be read, want 600", n)
	}
	f.Init(1000)
	if n := f.Pending(); n != 0 {
		t.Errorf("%d octets wait to be read after Init", n)
	}
	// A raise after each window can make more wait than 32 bits count.
	f.Init(MaxWindow)
	for range 3 {
		f.Raise(MaxWindow)
		if !f.OnData(MaxWindow) {
			t.Fatal("the raised window is refused")
		}
	}
	if n := f.Pending(); n != 1<<32-1 {
		t.Errorf("%d octets wait to be read, want all that uint32 can say", n)
	}
}

func TestReadMoreThanReceived(t *testing.T) {
	var f InFlow
	f.Init(1000)
	f.OnData(10)
	wantPanic(t, func() { f.OnRead(11) })
	if f.Pending() != 10 {
		t.Errorf("%d octets wait to be read, want 10", f.Pending())
	}
}
