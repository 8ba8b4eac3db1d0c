package checks

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weir-rpc/weir/cmd/weir/internal/demopb"
	"github.com/weir-rpc/weir/cmd/weir/internal/gauge"
)

// reading is the one with the number n, with a trace of its own.
func reading(n int32) *demopb.Reading {
	return &demopb.Reading{
		Station:     station,
		Sequence:    n,
		Millimetres: gauge.Level(n),
		Trace:       []byte{byte(n), byte(n >> 8), 0xff},
	}
}

func clientStreaming(ctx context.Context, s *Station) error {
	stream, err := s.client.Record(ctx)
	if err := wantReply("Record", err); err != nil {
		return err
	}
	var sum gauge.Sum
	for n := range int32(100) {
		r := reading(n + 1)
		sum.Add(r)
		if err := stream.Send(r); errors.Is(err, io.EOF) {
			break // the status comes from CloseAndRecv
		} else if err != nil {
			return &MismatchError{"Send of Record", "no error", describe(err)}
		}
	}
	got, err := stream.CloseAndRecv()
	if err := wantReply("Record", err); err != nil {
		return err
	}
	return wantMessage("the summary of Record", sum.Summary(), got)
}

func serverStreaming(ctx context.Context, s *Station) error {
	const readings = 1000
	stream, err := s.client.Watch(ctx, &demopb.WatchRequest{Station: station, Readings: readings})
	if err := wantReply("Watch", err); err != nil {
		return err
	}
	for n := range int32(readings) {
		got, err := stream.Recv()
		if err := wantReply("Recv of Watch", err); err != nil {
			return err
		}
		want := &demopb.Reading{Station: station, Sequence: n + 1, Millimetres: gauge.Level(n + 1)}
		if err := wantMessage("a message of Watch", want, got); err != nil {
			return err
		}
	}
	_, err = stream.Recv()
	return wantEnd("Watch", err)
}

func bidiStreaming(ctx context.Context, s *Station) error {
	stream, err := s.client.Follow(ctx)
	if err := wantReply("Follow", err); err != nil {
		return err
	}
	var sum gauge.Sum
	for n := range int32(100) {
		r := reading(n + 1)
		sum.Add(r)
		if err := stream.Send(r); err != nil && !errors.Is(err, io.EOF) {
			return &MismatchError{"Send of Follow", "no error", describe(err)}
		}
		got, err := stream.Recv()
		if err := wantReply("Recv of Follow", err); err != nil {
			return err
		}
		if err := wantMessage("a summary of Follow", sum.Summary(), got); err != nil {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return &MismatchError{"CloseSend of Follow", "no error", describe(err)}
	}
	_, err = stream.Recv()
	return wantEnd("Follow", err)
}

// wantEnd fails unless err is what Recv gives after the last message of a
// stream that went well.
func wantEnd(call string, err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	got := "one more message"
	if err != nil && status.Code(err) != codes.OK {
		got = describe(err)
	}
	return &MismatchError{"Recv of " + call + " after the last message", "io.EOF", got}
}
