package peers

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// service answers, and refuses calls that do not come with all that the
// scenario measures.
type service struct {
	benchpb.UnimplementedBenchServer

	cfg Config
}

// Echo implements benchpb.BenchServer.
func (s *service) Echo(ctx context.Context, m *benchpb.Message) (*benchpb.Message, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	if err := s.work(ctx); err != nil {
		return nil, err
	}
	return &benchpb.Message{Sequence: m.GetSequence(), Payload: m.GetPayload()}, nil
}

// PingPong implements benchpb.BenchServer.
func (s *service) PingPong(stream grpc.BidiStreamingServer[benchpb.Message, benchpb.Message]) error {
	return pingPong(stream)
}

// Send implements benchpb.BenchServer.
func (s *service) Send(req *benchpb.SendRequest, stream grpc.ServerStreamingServer[benchpb.Message]) error {
	return send(req, stream.Send)
}

func pingPong(stream interface {
	Send(m *benchpb.Message) error
	Recv() (*benchpb.Message, error)
}) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&benchpb.Message{Sequence: m.GetSequence(), Payload: m.GetPayload()}); err != nil {
			return err
		}
	}
}

// send makes a message for each Send, because a stream may keep it.
func send(req *benchpb.SendRequest, to func(*benchpb.Message) error) error {
	payload := benchpb.Sent(int(req.GetSize()))
	for i := range req.GetMessages() {
		if err := to(&benchpb.Message{Sequence: req.GetFirst() + uint64(i), Payload: payload}); err != nil {
			return err
		}
	}
	return nil
}

func (s *service) check(ctx context.Context) error {
	if s.cfg.Deadline {
		if _, ok := ctx.Deadline(); !ok {
			return errors.New("expected a deadline for each call; came none")
		}
	}
	if !s.cfg.Observed {
		return nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	for _, key := range metadataKeys {
		if len(md.Get(key)) != 1 {
			return fmt.Errorf("expected one value for the metadata key %s; came %d", key, len(md.Get(key)))
		}
	}
	if ctx.Value(interceptedKey{}) == nil || ctx.Value(taggedKey{}) == nil {
		return errors.New("expected an interceptor and a stats handler on the server; the call came past one of them")
	}
	return nil
}

// metadataKeys are as long as those in use.
var metadataKeys = [scenario.MetadataKeys]string{
	"x-request-id", "x-tenant", "x-user-agent", "x-forwarded-for", "traceparent", "tracestate", "x-api-version", "authorization",
}
