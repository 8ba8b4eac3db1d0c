package load

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weir-rpc/weir/cmd/weir/internal/demopb"
)

// client answers Read itself.
type client struct {
	demopb.GaugeClient

	read func(ctx context.Context, req *demopb.ReadRequest) (*demopb.Reading, error)
}

func (c client) Read(ctx context.Context, req *demopb.ReadRequest, _ ...grpc.CallOption) (*demopb.Reading, error) {
	return c.read(ctx, req)
}

func TestCallerKeepsCallsOutstanding(t *testing.T) {
	const outstanding = 4
	var calls, inFlight atomic.Int64
	all := make(chan struct{})
	c := newCaller(client{read: func(_ context.Context, req *demopb.ReadRequest) (*demopb.Reading, error) {
		calls.Add(1)
		if inFlight.Add(1) == outstanding {
			close(all)
		}
		<-all // the first calls wait for each other
		if len(req.GetTrace()) != Payload {
			t.Errorf("a trace of %d octets, want %d", len(req.GetTrace()), Payload)
		}
		return &demopb.Reading{Trace: req.GetTrace()}, nil
	}}, outstanding)
	w, err := c.run(t.Context(), 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if int64(w.Calls) != calls.Load() || w.Elapsed < 20*time.Millisecond || w.P50 <= 0 {
		t.Errorf("the window is %+v after %d calls", w, calls.Load())
	}
}

// A machine that is busy may come to the calls of a window when it is over.
func TestCallerCallsInAWindowThatIsOver(t *testing.T) {
	const outstanding = 3
	c := newCaller(client{read: func(_ context.Context, req *demopb.ReadRequest) (*demopb.Reading, error) {
		return &demopb.Reading{Trace: req.GetTrace()}, nil
	}}, outstanding)
	var over atomic.Bool
	over.Store(true)
	for i := range outstanding {
		if err := c.lane(t.Context(), i, &over); err != nil || len(c.took[i]) != 1 {
			t.Errorf("lane %d: %d calls, %v; want one", i, len(c.took[i]), err)
		}
	}
}

func TestCallerFails(t *testing.T) {
	for _, tt := range []struct {
		name  string
		read  func(context.Context, *demopb.ReadRequest) (*demopb.Reading, error)
		words string
	}{
		{
			"a call",
			func(context.Context, *demopb.ReadRequest) (*demopb.Reading, error) {
				return nil, status.Error(codes.Unavailable, "dry")
			},
			"expected a reply; came rpc error: code = Unavailable desc = dry",
		},
		{
			"a reply of another call",
			func(context.Context, *demopb.ReadRequest) (*demopb.Reading, error) {
				return &demopb.Reading{Trace: []byte{0xbe, 0xef}}, nil
			},
			"came beef",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newCaller(client{read: tt.read}, 3).run(t.Context(), time.Minute)
			if err == nil || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("run() = %v, want %q in it", err, tt.words)
			}
		})
	}
}

func TestAnswerEndsWithItsInput(t *testing.T) {
	in := strings.NewReader(`{"window_ns":5}{"window_ns":6}`)
	var out bytes.Buffer
	err := answer(t.Context(), in, func(_ context.Context, req clientRequest) error {
		return json.NewEncoder(&out).Encode(req.Window)
	})
	// The last request may go down with the end of the input.
	if got := out.String(); err != nil || got != "5\n" && got != "5\n6\n" {
		t.Errorf("answer() = %v after %q, want nil after 5 and 6", err, got)
	}
}

func TestAnswerToNonsense(t *testing.T) {
	err := answer(t.Context(), strings.NewReader("drain"), func(context.Context, serverRequest) error { return nil })
	if err == nil {
		t.Error("answer() gave no error for a request that is none")
	}
}
