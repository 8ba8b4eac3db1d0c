package weir

import (
	"sync/atomic"

	"github.com/weir-rpc/weir/internal/serviceconfig"
)

// throttle holds the tokens that a Client pays retries with, so that they do
// not keep a server down that fails anyway. Nil throttles nothing.
//
// "For each server name, the gRPC client maintains a token_count variable which
// is initially set to maxTokens and can take values between 0 and maxTokens."
// https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs
type throttle struct {
	most, ratio int64 // in thousandths of a token, as the others
	tokens      atomic.Int64
}

const token = 1000

func newThrottle(t *serviceconfig.Throttling) *throttle {
	if t == nil {
		return nil
	}
	h := &throttle{most: int64(t.MaxTokens * token), ratio: max(1, int64(min(t.TokenRatio, t.MaxTokens)*token+0.5))}
	h.tokens.Store(h.most)
	return h
}

// like reports whether two throttles differ by their tokens alone.
func (h *throttle) like(other *throttle) bool {
	return h != nil && other != nil && h.most == other.most && h.ratio == other.ratio
}

// failed takes a token for an attempt that failed with a status which would be
// tried again, or that the server does not want tried again. It reports whether
// that may be.
func (h *throttle) failed() bool {
	if h == nil {
		return true
	}
	h.add(-token)
	return h.allows()
}

// succeeded gives something back for a call that ended well.
func (h *throttle) succeeded() {
	if h != nil && h.tokens.Load() < h.most {
		h.add(h.ratio)
	}
}

// allows reports whether there are tokens for further attempts.
func (h *throttle) allows() bool { return h == nil || h.tokens.Load() > h.most/2 }

func (h *throttle) add(n int64) {
	for {
		old := h.tokens.Load()
		if h.tokens.CompareAndSwap(old, min(max(old+n, 0), h.most)) {
			return
		}
	}
}
