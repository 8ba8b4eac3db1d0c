package load

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

func TestChurn(t *testing.T) {
	s := scenario.Scenario{Shape: scenario.Churn, Payload: 32, Outstanding: 4, Connections: 1}
	p := new(pond)
	p.left.Store(1 << 40)
	w, err := NewCaller(s, []peers.Client{pondClient{pond: p}}, p.dial).Run(t.Context(), time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if n := int64(w.Calls); n < 4 || p.echoes.Load() != n || p.closed.Load() != n || w.Dialed != w.Calls {
		t.Errorf("%d calls on %d connections: %d were answered and %d closed", w.Calls, w.Dialed, p.echoes.Load(), p.closed.Load())
	}
}

func TestChurnThatFails(t *testing.T) {
	s := scenario.Scenario{Shape: scenario.Churn, Payload: 32, Outstanding: 1, Connections: 1}
	t.Run("no connection", func(t *testing.T) {
		p := new(pond)
		p.left.Store(3)
		_, err := NewCaller(s, []peers.Client{hanging{}}, p.dial).Run(t.Context(), time.Minute)
		if !errors.Is(err, errDry) || p.closed.Load() != 3 {
			t.Errorf("error %v, and %d connections were closed", err, p.closed.Load())
		}
	})
	t.Run("a wrong answer", func(t *testing.T) {
		closed := 0
		dial := func() (peers.Client, error) {
			c := &spoiler{spoil: func(m *benchpb.Message) (*benchpb.Message, error) { m.Sequence++; return m, nil }}
			return closing{c, &closed}, nil
		}
		_, err := NewCaller(s, []peers.Client{hanging{}}, dial).Run(t.Context(), time.Minute)
		if err == nil || !strings.Contains(err.Error(), "expected message") || closed != 1 {
			t.Errorf("error %v, and %d connections were closed", err, closed)
		}
	})
}

type closing struct {
	peers.Client

	closed *int
}

func (c closing) Close() error {
	*c.closed++
	return nil
}
