package gauge

import (
	"context"
	"crypto/sha256"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/weir-rpc/weir/cmd/weir/internal/demopb"
)

func TestSum(t *testing.T) {
	var sum Sum
	sum.Add(&demopb.Reading{Millimetres: 3, Trace: []byte("wa")})
	sum.Add(&demopb.Reading{Millimetres: -1, Trace: []byte("ter")})
	hash := sha256.Sum256([]byte("water"))
	want := &demopb.Summary{Readings: 2, MillimetresTotal: 2, TraceSha256: hash[:]}
	if got := sum.Summary(); !proto.Equal(got, want) {
		t.Errorf("Summary() = %v, want %v", got, want)
	}
}

func TestWaitTellsOfItsVisit(t *testing.T) {
	s := New()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := s.Wait(ctx, &demopb.WaitRequest{Station: "north"})
		failed <- err
	}()
	visit := <-s.Visits()
	if visit.Station != "north" || !visit.Deadline.IsZero() {
		t.Errorf("the visit is %+v, want one of north without a deadline", visit)
	}
	cancel()
	if err := <-visit.Over; err != context.Canceled {
		t.Errorf("the visit ended with %v, want context.Canceled", err)
	}
	if err := <-failed; status.Code(err) != codes.Canceled {
		t.Errorf("Wait() = %v, want CANCELED", err)
	}
}

// Wait does not block where nobody asks what it saw.
func TestWaitRefusesMoreThanAreAskedFor(t *testing.T) {
	s := New()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for n := range cap(s.visits) {
		if _, err := s.Wait(over, &demopb.WaitRequest{}); status.Code(err) != codes.Canceled {
			t.Fatalf("Wait() number %d = %v, want CANCELED", n, err)
		}
	}
	if _, err := s.Wait(over, &demopb.WaitRequest{}); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("Wait() = %v, want RESOURCE_EXHAUSTED", err)
	}
}
