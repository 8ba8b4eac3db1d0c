package main

import (
	"context"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weir-rpc/weir/conformance/internal/conformancepb"
	"github.com/weir-rpc/weir/conformance/internal/translate"
)

// service is the suite's service, as its service.proto describes it. The
// method Unimplemented stays that.
type service struct {
	conformancepb.UnimplementedConformanceServiceServer
}

func (service) Unary(ctx context.Context, req *conformancepb.UnaryRequest) (*conformancepb.UnaryResponse, error) {
	payload, err := single(ctx, req.ResponseDefinition, req)
	if err != nil {
		return nil, err
	}
	return &conformancepb.UnaryResponse{Payload: payload}, nil
}

func (service) IdempotentUnary(ctx context.Context, req *conformancepb.IdempotentUnaryRequest) (*conformancepb.IdempotentUnaryResponse, error) {
	payload, err := single(ctx, req.ResponseDefinition, req)
	if err != nil {
		return nil, err
	}
	return &conformancepb.IdempotentUnaryResponse{Payload: payload}, nil
}

func (service) ClientStream(stream grpc.ClientStreamingServer[conformancepb.ClientStreamRequest, conformancepb.ClientStreamResponse]) error {
	var def *conformancepb.UnaryResponseDefinition
	var reqs []proto.Message
	for {
		req, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if len(reqs) == 0 {
			def = req.ResponseDefinition
		}
		reqs = append(reqs, req)
	}
	payload, err := single(stream.Context(), def, reqs...)
	if err != nil {
		return err
	}
	return stream.SendAndClose(&conformancepb.ClientStreamResponse{Payload: payload})
}

// single makes the one answer to reqs, or the error instead.
func single(ctx context.Context, def *conformancepb.UnaryResponseDefinition, reqs ...proto.Message) (*conformancepb.ConformancePayload, error) {
	info, err := seen(ctx, reqs)
	if err != nil {
		return nil, err
	}
	if def.GetRawResponse() != nil {
		return nil, errRaw
	}
	if err := grpc.SetHeader(ctx, translate.Metadata(def.GetResponseHeaders())); err != nil {
		return nil, err
	}
	if err := grpc.SetTrailer(ctx, translate.Metadata(def.GetResponseTrailers())); err != nil {
		return nil, err
	}
	if err := wait(ctx, def.GetResponseDelayMs()); err != nil {
		return nil, err
	}
	if e := def.GetError(); e != nil {
		return nil, failure(e, info)
	}
	return &conformancepb.ConformancePayload{Data: def.GetResponseData(), RequestInfo: info}, nil
}

func (service) ServerStream(req *conformancepb.ServerStreamRequest, stream grpc.ServerStreamingServer[conformancepb.ServerStreamResponse]) error {
	a := newAnswer(stream, func(p *conformancepb.ConformancePayload) error {
		return stream.Send(&conformancepb.ServerStreamResponse{Payload: p})
	})
	if err := a.begin(req.ResponseDefinition); err != nil {
		return err
	}
	return a.finish([]proto.Message{req})
}

func (service) BidiStream(stream grpc.BidiStreamingServer[conformancepb.BidiStreamRequest, conformancepb.BidiStreamResponse]) error {
	a := newAnswer(stream, func(p *conformancepb.ConformancePayload) error {
		return stream.Send(&conformancepb.BidiStreamResponse{Payload: p})
	})
	var reqs []proto.Message // since the last response
	first, full := true, false
	for {
		req, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if first {
			first, full = false, req.FullDuplex
			if err := a.begin(req.ResponseDefinition); err != nil {
				return err
			}
		}
		reqs = append(reqs, req)
		if !full {
			continue
		}
		if !a.more() {
			break
		}
		if err := a.next(reqs); err != nil {
			return err
		}
		reqs = nil
	}
	return a.finish(reqs)
}

// answer is the stream of responses to a call.
type answer struct {
	stream grpc.ServerStream
	send   func(*conformancepb.ConformancePayload) error
	def    *conformancepb.StreamResponseDefinition
	sent   int
}

func newAnswer(stream grpc.ServerStream, send func(*conformancepb.ConformancePayload) error) *answer {
	return &answer{stream: stream, send: send}
}

// begin sends the headers at once, for clients that wait for them.
func (a *answer) begin(def *conformancepb.StreamResponseDefinition) error {
	a.def = def
	switch {
	case def == nil:
		return nil
	case def.RawResponse != nil:
		return errRaw
	}
	a.stream.SetTrailer(translate.Metadata(def.ResponseTrailers))
	return a.stream.SendHeader(translate.Metadata(def.ResponseHeaders))
}

func (a *answer) more() bool { return a.sent < len(a.def.GetResponseData()) }

// next sends one response. The first tells all of the request, later ones
// those messages that none has told yet.
func (a *answer) next(reqs []proto.Message) error {
	payload := &conformancepb.ConformancePayload{Data: a.def.ResponseData[a.sent]}
	if a.sent == 0 || len(reqs) > 0 {
		info, err := seen(a.stream.Context(), reqs)
		if err != nil {
			return err
		}
		if a.sent > 0 {
			info.RequestHeaders, info.TimeoutMs = nil, nil
		}
		payload.RequestInfo = info
	}
	if err := wait(a.stream.Context(), a.def.ResponseDelayMs); err != nil {
		return err
	}
	a.sent++
	return a.send(payload)
}

// finish sends what is left to send and gives the error to end with.
func (a *answer) finish(reqs []proto.Message) error {
	for a.more() {
		if err := a.next(reqs); err != nil {
			return err
		}
		reqs = nil
	}
	switch e := a.def.GetError(); {
	case e == nil:
		return nil
	case a.sent > 0:
		return translate.Status(e)
	default:
		info, err := seen(a.stream.Context(), reqs)
		if err != nil {
			return err
		}
		return failure(e, info)
	}
}

var errRaw = status.Error(codes.InvalidArgument, "the request has a raw_response, which is for the suite's own server alone")

// failure is the error e with info as one more detail.
func failure(e *conformancepb.Error, info *conformancepb.ConformancePayload_RequestInfo) error {
	detail, err := anypb.New(info)
	if err != nil {
		return err
	}
	e = proto.CloneOf(e)
	e.Details = append(e.Details, detail)
	return translate.Status(e)
}

// seen tells what the server has seen of a call.
func seen(ctx context.Context, reqs []proto.Message) (*conformancepb.ConformancePayload_RequestInfo, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	info := &conformancepb.ConformancePayload_RequestInfo{RequestHeaders: translate.Headers(md)}
	if deadline, ok := ctx.Deadline(); ok {
		info.TimeoutMs = new(max(0, time.Until(deadline).Milliseconds()))
	}
	for _, req := range reqs {
		a, err := anypb.New(req)
		if err != nil {
			return nil, err
		}
		info.Requests = append(info.Requests, a)
	}
	return info, nil
}

// wait waits some milliseconds, or until the call has ended.
func wait(ctx context.Context, ms uint32) error {
	if ms == 0 {
		return nil
	}
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}
