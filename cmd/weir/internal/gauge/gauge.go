// Package gauge is the service that the demo calls.
package gauge

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weir-rpc/weir/cmd/weir/internal/demopb"
)

// EchoKey is the metadata key whose values name the keys that Read sends back,
// in the headers with HeaderPrefix before them and in the trailers with
// TrailerPrefix.
const (
	EchoKey       = "demo-echo"
	HeaderPrefix  = "header-"
	TrailerPrefix = "trailer-"
)

// NoStation is the status message of a request that names no station. It has
// characters that grpc-message must escape.
const NoStation = "Pegel ≠ 0: no station, 100 % missing"

// Service implements the Gauge service and tells what it saw of calls to Wait.
// Make one with New. It is safe for concurrent use.
type Service struct {
	demopb.UnimplementedGaugeServer

	visits chan Visit
}

// New makes a service that keeps up to 16 visits until they are asked for.
func New() *Service {
	return &Service{visits: make(chan Visit, 16)}
}

// Visit is what the server saw of one call to Wait.
type Visit struct {
	// Station is the one of the request.
	Station string

	// Deadline is the server's, zero if the call came without one.
	Deadline time.Time

	// Over gets the error of the handler's context once that is done.
	Over <-chan error
}

// Visits gives one Visit for each call to Wait, once its handler runs.
func (s *Service) Visits() <-chan Visit { return s.visits }

// Read implements demopb.GaugeServer.
func (s *Service) Read(ctx context.Context, req *demopb.ReadRequest) (*demopb.Reading, error) {
	if req.GetStation() == "" {
		return nil, noStation()
	}
	if err := echoMetadata(ctx); err != nil {
		return nil, err
	}
	return &demopb.Reading{
		Station:     req.GetStation(),
		Sequence:    1,
		Millimetres: Level(1),
		Trace:       req.GetTrace(),
	}, nil
}

// Level is what the gauge shows in millimetres at the reading n.
func Level(n int32) int64 { return 1000 + 7*int64(n) }

// Details is what the status of a request without a station carries.
func Details() *errdetails.BadRequest {
	return &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
		{Field: "station", Description: "name a station"},
	}}
}

func noStation() error {
	st, err := status.New(codes.InvalidArgument, NoStation).WithDetails(Details())
	if err != nil {
		return err
	}
	return st.Err()
}

func echoMetadata(ctx context.Context) error {
	keys := metadata.ValueFromIncomingContext(ctx, EchoKey)
	if len(keys) == 0 {
		return nil
	}
	header, trailer := metadata.MD{}, metadata.MD{}
	for _, key := range keys {
		values := metadata.ValueFromIncomingContext(ctx, key)
		header.Append(HeaderPrefix+key, values...)
		trailer.Append(TrailerPrefix+key, values...)
	}
	if err := grpc.SendHeader(ctx, header); err != nil {
		return err
	}
	return grpc.SetTrailer(ctx, trailer)
}

// Record implements demopb.GaugeServer.
func (s *Service) Record(stream grpc.ClientStreamingServer[demopb.Reading, demopb.Summary]) error {
	var sum Sum
	for {
		reading, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(sum.Summary())
		}
		if err != nil {
			return err
		}
		sum.Add(reading)
	}
}

// Watch implements demopb.GaugeServer.
func (s *Service) Watch(req *demopb.WatchRequest, stream grpc.ServerStreamingServer[demopb.Reading]) error {
	for n := range req.GetReadings() {
		reading := &demopb.Reading{Station: req.GetStation(), Sequence: n + 1, Millimetres: Level(n + 1)}
		if err := stream.Send(reading); err != nil {
			return err
		}
	}
	return nil
}

// Follow implements demopb.GaugeServer.
func (s *Service) Follow(stream grpc.BidiStreamingServer[demopb.Reading, demopb.Summary]) error {
	var sum Sum
	for {
		reading, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		sum.Add(reading)
		if err := stream.Send(sum.Summary()); err != nil {
			return err
		}
	}
}

// Wait implements demopb.GaugeServer.
func (s *Service) Wait(ctx context.Context, req *demopb.WaitRequest) (*demopb.Reading, error) {
	over := make(chan error, 1)
	deadline, _ := ctx.Deadline()
	select {
	case s.visits <- Visit{Station: req.GetStation(), Deadline: deadline, Over: over}:
	default:
		return nil, status.Error(codes.ResourceExhausted, "nobody asks for the visits of Wait")
	}
	<-ctx.Done()
	over <- ctx.Err()
	return nil, status.FromContextError(ctx.Err()).Err()
}

// Sum adds up readings. The zero value is the sum of none.
type Sum struct {
	readings    int32
	millimetres int64
	trace       []byte
}

// Add counts one reading in.
func (s *Sum) Add(r *demopb.Reading) {
	s.readings++
	s.millimetres += r.GetMillimetres()
	s.trace = append(s.trace, r.GetTrace()...)
}

// Summary tells about the readings so far.
func (s *Sum) Summary() *demopb.Summary {
	hash := sha256.Sum256(s.trace)
	return &demopb.Summary{
		Readings:         s.readings,
		MillimetresTotal: s.millimetres,
		TraceSha256:      hash[:],
	}
}
