package load

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// pond counts what is opened and closed. After some of each there is no more.
type pond struct {
	echoes, streams, closed, left atomic.Int64
}

var errDry = errors.New("no water")

func (p *pond) take() error {
	if p.left.Add(-1) < 0 {
		return errDry
	}
	return nil
}

func (p *pond) dial() (peers.Client, error) { return pondClient{pond: p}, p.take() }

type pondClient struct {
	peers.Client

	pond *pond
}

func (c pondClient) Echo(_ context.Context, m *benchpb.Message) (*benchpb.Message, error) {
	c.pond.echoes.Add(1)
	return &benchpb.Message{Sequence: m.Sequence, Payload: m.Payload}, nil
}

func (c pondClient) PingPong(context.Context) (peers.PingPong, error) {
	if err := c.pond.take(); err != nil {
		return nil, err
	}
	c.pond.streams.Add(1)
	return &script{recv: func(sent *benchpb.Message) (*benchpb.Message, error) {
		if sent == nil {
			return nil, io.EOF
		}
		c.pond.echoes.Add(1)
		return sent, nil
	}}, nil
}

func (c pondClient) Close() error {
	c.pond.closed.Add(1)
	return nil
}

func TestIdle(t *testing.T) {
	const n = 3*openers + 1
	for _, tt := range []struct {
		shape           scenario.Shape
		left            int64
		streams, closed int64
		err             string
	}{
		{shape: scenario.IdleConns, left: n, closed: n},
		{shape: scenario.IdleStreams, left: n, streams: n},
		{shape: scenario.IdleConns, left: n - 1, err: errDry.Error()},
		{shape: scenario.IdleStreams, left: n - 1, err: errDry.Error()},
		{shape: scenario.Unary, left: n, err: `came a scenario of the shape "unary"`},
	} {
		t.Run(string(tt.shape)+tt.err, func(t *testing.T) {
			p := new(pond)
			p.left.Store(tt.left)
			s := scenario.Scenario{Shape: tt.shape, Payload: 32, Outstanding: n, Connections: 1}
			idle := NewIdle(s, pondClient{pond: p}, p.dial)
			err := idle.Open(t.Context())
			if closed := idle.Close(); closed != nil {
				t.Errorf("Close: %v", closed)
			}
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.echoes.Load() != n || p.streams.Load() != tt.streams || p.closed.Load() != tt.closed {
				t.Errorf("%d were used, %d streams opened, %d connections closed; want %d, %d and %d",
					p.echoes.Load(), p.streams.Load(), p.closed.Load(), n, tt.streams, tt.closed)
			}
		})
	}
}

func TestIdleThatWasNeverOpened(t *testing.T) {
	if err := NewIdle(scenario.Scenario{}, nil, nil).Close(); err != nil {
		t.Error(err)
	}
}
