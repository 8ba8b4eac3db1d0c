package checks

import (
	"context"
	"fmt"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/weir-rpc/weir/cmd/weir/internal/demopb"
	"github.com/weir-rpc/weir/cmd/weir/internal/gauge"
)

const station = "Lower Weir"

func unary(ctx context.Context, s *Station) error {
	return read(ctx, s.client, station, []byte("a trace"))
}

// read calls Read once and compares the reply.
func read(ctx context.Context, client demopb.GaugeClient, name string, trace []byte) error {
	got, err := client.Read(ctx, &demopb.ReadRequest{Station: name, Trace: trace})
	if err := wantReply("Read", err); err != nil {
		return err
	}
	return wantMessage("the reply of Read", &demopb.Reading{
		Station:     name,
		Sequence:    1,
		Millimetres: gauge.Level(1),
		Trace:       trace,
	}, got)
}

// manyAtOnce has all calls in flight before it waits for any.
func manyAtOnce(ctx context.Context, s *Station) error {
	const calls = 1000
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failures := make(chan error, calls)
	var wg sync.WaitGroup
	for n := range calls {
		wg.Go(func() {
			name := fmt.Sprintf("weir %d", n)
			if err := read(ctx, s.client, name, []byte(name)); err != nil {
				failures <- err
				cancel() // one answer is enough
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failures:
		return err
	default:
		return nil
	}
}

func unknownMethod(ctx context.Context, s *Station) error {
	const method = "/weir.demo.v1.Gauge/Dredge"
	err := s.conn.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{})
	return wantCode(method, err, codes.Unimplemented)
}
