package load

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// flood is a stream of bulk which ends with its context.
type flood struct {
	peers.Client

	ctx   context.Context
	n     uint64
	spoil func(m *benchpb.Message) (*benchpb.Message, error)
	asked *benchpb.SendRequest
}

func (f *flood) Send(ctx context.Context, req *benchpb.SendRequest) (peers.Messages, error) {
	f.ctx, f.asked = ctx, req
	return f, nil
}

func (f *flood) Recv() (*benchpb.Message, error) {
	if err := f.ctx.Err(); err != nil {
		return nil, err
	}
	f.n++
	return f.spoil(&benchpb.Message{Sequence: f.n, Payload: benchpb.Sent(scenario.BulkSize)})
}

func TestBulk(t *testing.T) {
	var over atomic.Bool
	f := &flood{spoil: func(m *benchpb.Message) (*benchpb.Message, error) {
		over.Store(m.Sequence == 7)
		return m, nil
	}}
	l := &lane{client: f, payload: benchpb.Sent(scenario.BulkSize)}
	for range 2 { // a stream for each run
		f.n, l.calls = 0, 0
		over.Store(false)
		if err := bulk(t.Context(), l, &over); err != nil {
			t.Fatal(err)
		}
		if l.calls != 7 || f.asked.GetFirst() != 1 || f.asked.GetSize() != scenario.BulkSize || f.ctx.Err() == nil {
			t.Errorf("%d messages counted of %+v; the context ended with %v", l.calls, f.asked, f.ctx.Err())
		}
	}
}

func TestWrongBulkFails(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(m *benchpb.Message) (*benchpb.Message, error)
		err   string
	}{
		{"it ends", func(*benchpb.Message) (*benchpb.Message, error) { return nil, errors.New("no water") }, "no water"},
		{"one is missing", func(m *benchpb.Message) (*benchpb.Message, error) { m.Sequence++; return m, nil }, "expected message 1; came 2"},
		{"one is short", func(m *benchpb.Message) (*benchpb.Message, error) { m.Payload = m.Payload[1:]; return m, nil }, "octets; came"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &lane{client: &flood{spoil: tt.spoil}, payload: benchpb.Sent(scenario.BulkSize)}
			if err := bulk(t.Context(), l, new(atomic.Bool)); err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want one with %q", err, tt.err)
			}
		})
	}
}
