package checks

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/weir-rpc/weir/cmd/weir/internal/demopb"
	"github.com/weir-rpc/weir/cmd/weir/internal/gauge"
)

const (
	// callDeadline is far enough for a call to reach the handler on a busy
	// machine before it ends.
	callDeadline = 250 * time.Millisecond

	// onWay is how much later than the client's the server's deadline may be:
	// grpc-timeout is what is left when the call leaves.
	onWay = 200 * time.Millisecond
)

func deadline(ctx context.Context, s *Station) error {
	limit := time.Now().Add(callDeadline)
	limited, cancel := context.WithDeadline(ctx, limit)
	defer cancel()
	_, err := s.client.Wait(limited, &demopb.WaitRequest{Station: "deadline"})
	after := time.Since(limit)
	if err := wantCode("Wait with a deadline", err, codes.DeadlineExceeded); err != nil {
		return err
	}
	if after < 0 || after > time.Second {
		return &MismatchError{"the end of Wait", "within a second after the deadline", after.String() + " after it"}
	}
	visit, err := s.visit(ctx, "deadline")
	if err != nil {
		return err
	}
	if visit.Deadline.IsZero() {
		return &MismatchError{"the handler's context", "a deadline", "none"}
	}
	// The unit of grpc-timeout is at best a nanosecond, and rounds.
	if late := visit.Deadline.Sub(limit); late < -time.Millisecond || late > onWay {
		return &MismatchError{
			"the deadline at the server", fmt.Sprintf("the client's, at most %v later", onWay),
			fmt.Sprintf("%v later", late),
		}
	}
	_, err = over(ctx, visit)
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
	ended, err := over(ctx, visit)
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
func over(ctx context.Context, v gauge.Visit) (error, error) {
	patience := time.NewTimer(time.Second)
	defer patience.Stop()
	select {
	case err := <-v.Over:
		return err, nil
	case <-patience.C:
	case <-ctx.Done():
	}
	return nil, &MismatchError{"the handler's context", "to end with the call", "no end within a second"}
}

func stop(_ context.Context, s *Station) error { return s.Close() }
