package weir_test

import (
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// Calls of every kind are cancelled at any moment, run into deadlines, are
// left unread or finish, all on one connection: none gets another's answer,
// and nothing is left of them.
func TestChurn(t *testing.T) {
	testPairings(t, newStreamer(), func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		var wg sync.WaitGroup
		for g := range 16 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(g), 1))
				for range 60 {
					churnOnce(ctx, t, c, rnd)
				}
			})
		}
		wg.Wait()
		if _, err := c.EmptyCall(ctx, &testpb.Empty{}); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func churnOnce(ctx context.Context, t *testing.T, c testpb.TestServiceClient, rnd *rand.Rand) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	leave := rnd.IntN(3) == 0
	if leave {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rnd.IntN(2000))*time.Microsecond)
		defer cancel()
	}
	size := 1 << rnd.IntN(18)
	fill := byte(rnd.IntN(255) + 1)
	body := make([]byte, size)
	body[0] = fill
	fine := func(err error) bool {
		switch status.Code(err) {
		case codes.OK:
			return true
		case codes.DeadlineExceeded, codes.Canceled:
			if leave {
				return false
			}
		}
		t.Errorf("a call of %d octets: %v", size, err)
		return false
	}
	switch rnd.IntN(3) {
	case 0:
		out, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: int32(size), Payload: &testpb.Payload{Body: body}})
		if fine(err) {
			if b := out.GetPayload().GetBody(); len(b) != size || b[0] != fill || b[size-1] != fill {
				t.Errorf("an answer that is not its own")
			}
		}
	case 1:
		s, err := c.FullDuplexCall(ctx)
		if !fine(err) {
			return
		}
		for range rnd.IntN(5) {
			if err := s.Send(&testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: int32(size)}}, Payload: &testpb.Payload{Body: body}}); err != nil {
				if err != io.EOF {
					fine(err)
				}
				return
			}
			if out, err := s.Recv(); !fine(err) {
				return
			} else if len(out.GetPayload().GetBody()) != size {
				t.Errorf("got %d octets, want %d", len(out.GetPayload().GetBody()), size)
			}
		}
		if rnd.IntN(2) == 0 {
			return // the context ends it
		}
		_ = s.CloseSend()
		if _, err := s.Recv(); err != io.EOF {
			fine(err)
		}
	case 2:
		in := &testpb.StreamingOutputCallRequest{}
		for range rnd.IntN(20) {
			in.ResponseParameters = append(in.ResponseParameters, &testpb.ResponseParameters{Size: int32(size / 4)})
		}
		s, err := c.StreamingOutputCall(metadata.AppendToOutgoingContext(ctx, "x-some", "thing"), in)
		if !fine(err) {
			return
		}
		for range rnd.IntN(30) {
			if _, err := s.Recv(); err == io.EOF || !fine(err) {
				return
			}
		}
	}
}
