package inproc

import (
	"context"

	"github.com/weir-rpc/weir/transport"
)

var (
	_ transport.SendWaiter = (*clientStream)(nil)
	_ transport.SendWaiter = (*serverStream)(nil)
)

// WaitSend is transport.SendWaiter's.
func (cs *clientStream) WaitSend(ctx context.Context) error { return cs.waitRoom(ctx, &cs.up) }

// WaitSend is transport.SendWaiter's.
func (ss *serverStream) WaitSend(ctx context.Context) error { return ss.waitRoom(ctx, &ss.down) }

// waitRoom waits until a message can be sent on l, or never will.
func (st *stream) waitRoom(ctx context.Context, l *lane) error {
	st.Mu.Lock()
	defer st.Mu.Unlock()
	for l.full() && !st.over && !l.ended {
		if err := st.awaitRoom(ctx, l); err != nil && l.full() && !st.over && !l.ended {
			return err
		}
	}
	return nil
}
