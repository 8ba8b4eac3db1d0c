package transport

import (
	"strings"
	"testing"

	"github.com/weir-rpc/weir/internal/allocs"
)

// What a call allocates on both sides together, with nothing above the
// transport: the ServerStream and its context, which a handler may keep, are
// one object. On the client there is none.
func TestAllocationBudget_RoundTrip(t *testing.T) {
	if !allocs.Alone(t) {
		return
	}
	onSockets(t, echoUnary, func(t *testing.T, ct ClientTransport, _ ServerTransport) {
		call := &Call{Method: "/u/Echo"}
		var reply Reply
		allocs.Budget(t, 1+ofTLS(t), 2000, func() error {
			m := NewBuffer(32)
			clear(m.Bytes())
			err := ct.RoundTrip(t.Context(), call, m, &reply)
			reply.Free()
			return err
		})
	})
}

// A message of a stream costs none, there and back.
func TestAllocationBudget_Message(t *testing.T) {
	if !allocs.Alone(t) {
		return
	}
	onSockets(t, echoAll, func(t *testing.T, ct ClientTransport, _ ServerTransport) {
		cs, err := ct.NewStream(t.Context(), &Call{Method: "/s/Echo"})
		if err != nil {
			t.Fatal(err)
		}
		allocs.Budget(t, ofTLS(t), 2000, func() error {
			m := NewBuffer(32)
			clear(m.Bytes())
			if err := cs.Send(m); err != nil {
				return err
			}
			r, err := cs.Recv()
			r.Free()
			return err
		})
		cs.CloseSend()
	})
}

// ofTLS is what TLS costs there and back: crypto/tls allocates for each record
// that it reads, and a goroutine writes, since a write may wait.
func ofTLS(t *testing.T) float64 {
	if strings.HasSuffix(t.Name(), "/tls") {
		return 4
	}
	return 0
}
