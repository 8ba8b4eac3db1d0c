package servehttp

import (
	"sync/atomic"

	"github.com/weir-rpc/weir/inspect"
	"google.golang.org/grpc/codes"
)

// tally is what a request counts for those who look at it.
type tally struct {
	id      int64 // immutable
	in, out atomic.Uint32
}

// InspectID implements inspect.Connection.
func (t *requestTransport) InspectID() int64 { return t.tally.id }

// Inspect implements inspect.Connection. Each request is a connection with one
// stream: what else its connection has, and what it does below, net/http knows.
func (t *requestTransport) Inspect(streams bool) inspect.Conn {
	c := inspect.Conn{
		ID: t.tally.id, Since: t.st.received, LastStream: t.st.received, State: "open",
		Remote: inspect.Address{Network: t.peer.Addr.Network(), Text: t.peer.Addr.String()}, MaxStreams: 1,
	}
	if a := t.peer.LocalAddr; a != nil {
		c.Local = inspect.Address{Network: a.Network(), Text: a.String()}
	}
	if t.peer.AuthInfo != nil {
		c.Security.Type = t.peer.AuthInfo.AuthType()
	}
	c.Calls.Started = 1
	c.MessagesIn, c.MessagesOut = uint64(t.tally.in.Load()), uint64(t.tally.out.Load())
	err := t.Err()
	if err != nil {
		c.State, c.Err = "closed", err.Error()
	}
	st := t.st
	st.Mu.Lock()
	finished := st.done && st.StatusSent && (st.fault == nil || st.fault.Status == st.end)
	ok := finished && (st.end == nil || st.end.Code() == codes.OK)
	done := st.done
	st.Mu.Unlock()
	switch {
	case finished:
		c.StreamsFinished = 1
		if ok {
			c.Calls.Succeeded = 1
		} else {
			c.Calls.Failed = 1
		}
	case done || err != nil:
		c.Calls.Failed = 1
	default:
		one := inspect.Stream{
			ID: 1, Method: st.Method(), State: "open", Since: st.received, Waits: inspect.WaitsApplication,
			MessagesIn: uint32(c.MessagesIn), MessagesOut: uint32(c.MessagesOut),
		}
		c.Open.Note(&one)
		if streams {
			c.Streams = []inspect.Stream{one}
		}
	}
	return c
}
