package checks

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/weir-rpc/weir/cmd/weir/internal/demopb"
	"github.com/weir-rpc/weir/cmd/weir/internal/gauge"
)

// onWay is how much later than the client's the server's deadline may be:
// grpc-timeout is what is left when the call leaves.
func (s *Station) onWay() time.Duration { return s.deadline * 4 / 5 }

func deadline(ctx context.Context, s *Station) error {
	limit := time.Now().Add(s.deadline)
	limited, cancel := context.WithDeadline(ctx, limit)
	defer cancel()
	_, err := s.client.Wait(limited, &demopb.WaitRequest{Station: "deadline"})
	after := time.Since(limit)
	if err := wantCode("Wait with a deadline", err, codes.DeadlineExceeded); err != nil {
		return err
	}
	if after < 0 || after > s.grace {
		return &MismatchError{"the end of Wait", fmt.Sprintf("within %v after the deadline", s.grace), after.String() + " after it"}
	}
	visit, err := s.visit(ctx, "deadline")
	if err != nil {
		return err
	}
	if visit.Deadline.IsZero() {
		return &MismatchError{"the handler's context", "a deadline", "none"}
	}
	// The unit of grpc-timeout is at best a nanosecond, and rounds.
	if late := visit.Deadline.Sub(limit); late < -time.Millisecond || late > s.onWay() {
		return &MismatchError{
			"the deadline at the server", fmt.Sprintf("the client's, at most %v later", s.onWay()),
			fmt.Sprintf("%v later", late),
		}
	}
	_, err = s.over(ctx, visit)
	return err
}

// cancel cancels a call once its handler runs.
func cancel(ctx context.Context, s *Station) error {
	cancelled, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		_, err := s.client.Wait(cancelled, &demopb.WaitRequest{Station: "cancel"})
		failed <- err
	}()
	visit, err := s.visit(ctx, "cancel")
	if err != nil {
		return err
	}
	cancel()
	select {
	case err = <-failed:
	case <-ctx.Done():
		return &MismatchError{"Wait, cancelled", "to return", "nothing"}
	}
	if err := wantCode("Wait, cancelled", err, codes.Canceled); err != nil {
		return err
	}
	ended, err := s.over(ctx, visit)
	if err != nil {
		return err
	}
	return wantEqual("the handler's context", context.Canceled.Error(), ended.Error())
}

// visit is what the server saw of the call to Wait that names the station.
func (s *Station) visit(ctx context.Context, name string) (gauge.Visit, error) {
	for {
		select {
		case v := <-s.service.Visits():
			if v.Station == name {
				return v, nil
			} // else it is of a check that failed earlier
		case <-ctx.Done():
			return gauge.Visit{}, &MismatchError{"the handler of Wait", "to run", "no call"}
		}
	}
}

// over waits for the end of the handler's context and gives its error.
func (s *Station) over(ctx context.Context, v gauge.Visit) (error, error) {
	patience := time.NewTimer(s.grace)
	defer patience.Stop()
	select {
	case err := <-v.Over:
		return err, nil
	case <-patience.C:
	case <-ctx.Done():
	}
	return nil, &MismatchError{"the handler's context", "to end with the call", fmt.Sprintf("no end within %v", s.grace)}
}

func stop(_ context.Context, s *Station) error { return s.Close() }
