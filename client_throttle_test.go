package weir

import (
	"testing"

	"github.com/weir-rpc/weir/internal/serviceconfig"
)

// The tokens go down by one and up by the ratio, between none and all, and
// allow further attempts while there are more than half.
func TestThrottle(t *testing.T) {
	h := newThrottle(&serviceconfig.Throttling{MaxTokens: 4, TokenRatio: 0.5})
	for i, step := range []struct {
		fails  bool
		tokens int64
		allows bool
	}{
		{false, 4000, true}, // there are no more
		{true, 3000, true},
		{true, 2000, false}, // half is not more than half
		{false, 2500, true},
		{true, 1500, false},
		{true, 500, false},
		{true, 0, false},
		{true, 0, false}, // nor less than none
		{false, 500, false},
		{false, 1000, false},
	} {
		if step.fails {
			if h.failed() != step.allows {
				t.Errorf("step %d: the failure reports %v", i, !step.allows)
			}
		} else {
			h.succeeded()
		}
		if n := h.tokens.Load(); n != step.tokens || h.allows() != step.allows {
			t.Errorf("step %d: %d tokens, allows %v, want %+v", i, n, h.allows(), step)
		}
	}
	for _, tt := range []struct {
		ratio float64
		want  int64
	}{{0.1, 100}, {0.0004, 1}, {1e300, 4000}, {0.333, 333}} {
		if h := newThrottle(&serviceconfig.Throttling{MaxTokens: 4, TokenRatio: tt.ratio}); h.ratio != tt.want {
			t.Errorf("a ratio of %v is %d thousandths, want %d", tt.ratio, h.ratio, tt.want)
		}
	}
	before := &service{throttle: h}
	same := (&service{throttle: newThrottle(&serviceconfig.Throttling{MaxTokens: 4, TokenRatio: 0.5})}).after(before)
	if same == before || same.throttle != h {
		t.Error("a config that is throttled alike has other tokens")
	}
	for _, next := range []*service{
		{}, {throttle: newThrottle(&serviceconfig.Throttling{MaxTokens: 4, TokenRatio: 0.4})}, {throttle: newThrottle(&serviceconfig.Throttling{MaxTokens: 3, TokenRatio: 0.5})},
	} {
		if next.after(before) != next || before.after(next) != before || next.after(nil) != next {
			t.Error("a config that is throttled otherwise has the same tokens")
		}
	}
	if (*service)(nil).after(before) != nil {
		t.Error("no config has tokens")
	}
	var none *throttle
	if none.succeeded(); !none.failed() || !none.allows() {
		t.Error("nothing is throttled without a throttling")
	}
}
