package checks

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weir-rpc/weir/cmd/weir/internal/demopb"
	"github.com/weir-rpc/weir/cmd/weir/internal/gauge"
	"github.com/weir-rpc/weir/cmd/weir/internal/peers"
)

// hurried is the patience of a check that fails when its time is over, and unhurried
// that of one that fails if an answer comes before its deadline, and does not wait.
const (
	hurried   = 4 * time.Second
	unhurried = 10 * time.Minute
)

// broken is a gauge with one method replaced.
type broken struct {
	*gauge.Service

	read   func(*gauge.Service, context.Context, *demopb.ReadRequest) (*demopb.Reading, error)
	record func(grpc.ClientStreamingServer[demopb.Reading, demopb.Summary]) error
	watch  func(*demopb.WatchRequest, grpc.ServerStreamingServer[demopb.Reading]) error
	follow func(grpc.BidiStreamingServer[demopb.Reading, demopb.Summary]) error
	wait   func(*gauge.Service, context.Context, *demopb.WaitRequest) (*demopb.Reading, error)
}

func (b *broken) Read(ctx context.Context, req *demopb.ReadRequest) (*demopb.Reading, error) {
	if b.read == nil {
		return b.Service.Read(ctx, req)
	}
	return b.read(b.Service, ctx, req)
}

func (b *broken) Record(s grpc.ClientStreamingServer[demopb.Reading, demopb.Summary]) error {
	if b.record == nil {
		return b.Service.Record(s)
	}
	return b.record(s)
}

func (b *broken) Watch(req *demopb.WatchRequest, s grpc.ServerStreamingServer[demopb.Reading]) error {
	if b.watch == nil {
		return b.Service.Watch(req, s)
	}
	return b.watch(req, s)
}

func (b *broken) Follow(s grpc.BidiStreamingServer[demopb.Reading, demopb.Summary]) error {
	if b.follow == nil {
		return b.Service.Follow(s)
	}
	return b.follow(s)
}

func (b *broken) Wait(ctx context.Context, req *demopb.WaitRequest) (*demopb.Reading, error) {
	if b.wait == nil {
		return b.Service.Wait(ctx, req)
	}
	return b.wait(b.Service, ctx, req)
}

// alter lets the service answer a Read and changes the reply.
func alter(change func(*demopb.Reading)) *broken {
	return &broken{read: func(s *gauge.Service, ctx context.Context, req *demopb.ReadRequest) (*demopb.Reading, error) {
		r, err := s.Read(ctx, req)
		if err == nil {
			change(r)
		}
		return r, err
	}}
}

// refuse answers a Read with the error.
func refuse(err error) *broken {
	return &broken{read: func(*gauge.Service, context.Context, *demopb.ReadRequest) (*demopb.Reading, error) {
		return nil, err
	}}
}

// visitor runs Wait with another context than the call's.
func visitor(change func(context.Context) (context.Context, context.CancelFunc)) *broken {
	return &broken{wait: func(s *gauge.Service, ctx context.Context, req *demopb.WaitRequest) (*demopb.Reading, error) {
		changed, cancel := change(ctx)
		defer cancel()
		return s.Wait(changed, req)
	}}
}

// forgetful sends back only what keep leaves of the metadata.
func forgetful(keep func(metadata.MD)) *broken {
	return &broken{read: func(s *gauge.Service, ctx context.Context, req *demopb.ReadRequest) (*demopb.Reading, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		keep(md)
		return s.Read(metadata.NewIncomingContext(ctx, md), req)
	}}
}

func withDetails(code codes.Code, message, field string) error {
	st, err := status.New(code, message).WithDetails(&errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field, Description: "name a station"}},
	})
	if err != nil {
		panic(err)
	}
	return st.Err()
}

// until gives a context that ends with all of the test, for what goes on for longer
// than the check that waits for it, however busy the machine is.
func until(ctx context.Context, t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(t.Context(), cancel)
	return ctx, cancel
}

// A check that passes here would pass for a transport that does the same.
func TestChecksFailOnBrokenService(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		call    string
		service *broken
		words   []string // of the mismatch

		patience time.Duration // of the check, if not the usual
	}{
		"another station's reading": {
			"unary", alter(func(r *demopb.Reading) { r.Station = "Upper Weir" }),
			[]string{"the reply of Read", "Lower Weir", "Upper Weir"}, 0,
		},
		"an error instead of a reply": {
			"unary", refuse(status.Error(codes.Internal, "dry")),
			[]string{"expected a reply", `Internal "dry"`}, 0,
		},
		"a record that misses a message": {
			"client streaming", &broken{record: func(s grpc.ClientStreamingServer[demopb.Reading, demopb.Summary]) error {
				var sum gauge.Sum
				s.Recv()
				for {
					r, err := s.Recv()
					if err != nil {
						return s.SendAndClose(sum.Summary())
					}
					sum.Add(r)
				}
			}},
			[]string{"readings:100", "readings:99"}, 0,
		},
		"a record out of order": {
			"client streaming", &broken{record: func(s grpc.ClientStreamingServer[demopb.Reading, demopb.Summary]) error {
				var sum gauge.Sum
				first, _ := s.Recv()
				for {
					r, err := s.Recv()
					if err != nil {
						sum.Add(first)
						return s.SendAndClose(sum.Summary())
					}
					sum.Add(r)
				}
			}},
			[]string{"the summary of Record", "trace_sha256"}, 0,
		},
		"a record refused halfway": {
			"client streaming", &broken{record: func(s grpc.ClientStreamingServer[demopb.Reading, demopb.Summary]) error {
				s.Recv()
				return status.Error(codes.DataLoss, "spilt")
			}},
			[]string{"expected a reply", `DataLoss "spilt"`}, 0,
		},
		"a watch that ends early": {
			"server streaming", &broken{watch: func(_ *demopb.WatchRequest, s grpc.ServerStreamingServer[demopb.Reading]) error {
				return new(gauge.Service).Watch(&demopb.WatchRequest{Station: station, Readings: 1}, s)
			}},
			[]string{"Recv of Watch", "EOF"}, 0,
		},
		"a watch without a message": {
			"server streaming", &broken{watch: func(*demopb.WatchRequest, grpc.ServerStreamingServer[demopb.Reading]) error {
				return nil
			}},
			[]string{"Recv of Watch", "EOF"}, 0,
		},
		"a watch that goes on": {
			"server streaming", &broken{watch: func(req *demopb.WatchRequest, s grpc.ServerStreamingServer[demopb.Reading]) error {
				req.Readings++
				return new(gauge.Service).Watch(req, s)
			}},
			[]string{"after the last message", "io.EOF", "one more message"}, 0,
		},
		"a watch that fails at the end": {
			"server streaming", &broken{watch: func(req *demopb.WatchRequest, s grpc.ServerStreamingServer[demopb.Reading]) error {
				new(gauge.Service).Watch(req, s)
				return status.Error(codes.Aborted, "flood")
			}},
			[]string{"io.EOF", `Aborted "flood"`}, 0,
		},
		"a follow that answers only at the end": {
			"bidi streaming", &broken{follow: func(s grpc.BidiStreamingServer[demopb.Reading, demopb.Summary]) error {
				for {
					if _, err := s.Recv(); errors.Is(err, io.EOF) {
						return s.Send(new(gauge.Sum).Summary())
					} else if err != nil {
						return err
					}
				}
			}},
			[]string{"Recv of Follow", "DeadlineExceeded"},
			hurried,
		},
		"a follow that answers twice": {
			"bidi streaming", &broken{follow: func(s grpc.BidiStreamingServer[demopb.Reading, demopb.Summary]) error {
				var sum gauge.Sum
				for {
					r, err := s.Recv()
					if err != nil {
						return err
					}
					sum.Add(r)
					s.Send(sum.Summary())
					s.Send(sum.Summary())
				}
			}},
			[]string{"readings:2", "readings:1"}, 0,
		},
		"a second value lost": {
			"metadata", forgetful(func(md metadata.MD) { md["demo-text"] = md["demo-text"][:1] }),
			[]string{"header-demo-text", `["first value" "second value"]`, `["first value"]`}, 0,
		},
		"binary metadata cut at a zero octet": {
			"metadata", forgetful(func(md metadata.MD) { md["demo-bin"] = []string{"", ""} }),
			[]string{"header-demo-bin", `\x00`}, 0,
		},
		"no trailers": {
			"metadata", &broken{read: func(_ *gauge.Service, ctx context.Context, _ *demopb.ReadRequest) (*demopb.Reading, error) {
				md, _ := metadata.FromIncomingContext(ctx)
				back := metadata.MD{}
				for key, values := range md {
					back[gauge.HeaderPrefix+key] = values
				}
				delete(back, gauge.HeaderPrefix+":authority")
				return &demopb.Reading{}, grpc.SendHeader(ctx, back)
			}},
			[]string{"of the trailer", "[]"}, 0,
		},
		"another code": {
			"status", refuse(status.Error(codes.NotFound, gauge.NoStation)),
			[]string{"InvalidArgument", "NotFound"}, 0,
		},
		"another message": {
			"status", refuse(withDetails(codes.InvalidArgument, "Pegel = 0: no station, 100%25 missing", "station")),
			[]string{"the message", "≠", "100%25"}, 0,
		},
		"no details": {
			"status", refuse(status.Error(codes.InvalidArgument, gauge.NoStation)),
			[]string{"details", "expected 1; came 0"}, 0,
		},
		"other details": {
			"status", refuse(withDetails(codes.InvalidArgument, gauge.NoStation, "gate")),
			[]string{"the detail", "station", "gate"}, 0,
		},
		"a call without a deadline at the server": {
			"deadline", visitor(func(ctx context.Context) (context.Context, context.CancelFunc) {
				bare, cancel := context.WithCancel(context.WithoutCancel(ctx))
				context.AfterFunc(ctx, func() { time.AfterFunc(100*time.Millisecond, cancel) })
				return bare, cancel
			}),
			[]string{"expected a deadline", "came none"}, 0,
		},
		"a server's deadline of its own": {
			"deadline", visitor(func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := until(ctx, t)
				own, forget := context.WithTimeout(ctx, time.Hour)
				return own, func() { forget(); cancel() }
			}),
			[]string{"the deadline at the server", "later"}, 0,
		},
		"an answer before the deadline": {
			"deadline", &broken{wait: func(*gauge.Service, context.Context, *demopb.WaitRequest) (*demopb.Reading, error) {
				return &demopb.Reading{}, nil
			}},
			[]string{"DeadlineExceeded", "no error"}, unhurried,
		},
		"a deadline exceeded too early": {
			"deadline", &broken{wait: func(*gauge.Service, context.Context, *demopb.WaitRequest) (*demopb.Reading, error) {
				return nil, status.Error(codes.DeadlineExceeded, "already")
			}},
			[]string{"the end of Wait", "-"}, unhurried,
		},
		"a handler that never learns of the cancellation": {
			"cancel", visitor(func(ctx context.Context) (context.Context, context.CancelFunc) {
				return until(ctx, t)
			}),
			[]string{"the handler's context", "to end", "no end"}, hurried,
		},
		"a large message with one octet changed": {
			"20 MiB message", alter(func(r *demopb.Reading) { r.Trace[17*mebibyte] ^= 1 }),
			[]string{"the trace", "octet 17825792"}, 0,
		},
		"a large message cut short": {
			"20 MiB message", alter(func(r *demopb.Reading) { r.Trace = r.Trace[1:] }),
			[]string{"20971520 octets", "20971519 octets"}, 0,
		},
		"a message below the limit": {
			"message limit", alter(func(r *demopb.Reading) { r.Trace = nil }),
			[]string{"ResourceExhausted", "no error"}, 0,
		},
		"replies given to the wrong call": {
			"1,000 at once", alter(func(r *demopb.Reading) {
				if r.Station == "weir 500" {
					r.Station = "weir 501"
				}
			}),
			[]string{"weir 500", "weir 501"}, 0,
		},
		"a compressed reply changed": {
			"gzip", alter(func(r *demopb.Reading) { r.Trace[0]++ }),
			[]string{"the trace", "octet 0"}, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.service.Service = gauge.New()
			s := open(t, peers.Pairing{Client: peers.GRPC(), Server: peers.GRPC()}, tt.service)
			s.bear(tt.patience)
			wantMismatch(t, s.Run(t.Context(), named(t, tt.call)).Err, tt.words...)
		})
	}
}

// changed is a client that makes something else of calls.
type changed struct {
	peers.Client

	invoke func(next grpc.ClientConnInterface, ctx context.Context, method string, in, out any, opts ...grpc.CallOption) error
}

func (c changed) Invoke(ctx context.Context, method string, in, out any, opts ...grpc.CallOption) error {
	return c.invoke(c.Client, ctx, method, in, out, opts...)
}

func TestChecksFailOnBrokenClient(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		call   string
		invoke func(next grpc.ClientConnInterface, ctx context.Context, method string, in, out any, opts ...grpc.CallOption) error
		words  []string

		patience time.Duration
	}{
		"a client that does not compress": {
			"gzip",
			func(next grpc.ClientConnInterface, ctx context.Context, method string, in, out any, opts ...grpc.CallOption) error {
				return next.Invoke(ctx, method, in, out, append(opts, grpc.UseCompressor("identity"))...)
			},
			[]string{"the request", "on the wire", "65536"}, 0,
		},
		"a client that sees a method where none is": {
			"unknown method",
			func(grpc.ClientConnInterface, context.Context, string, any, any, ...grpc.CallOption) error {
				return nil
			},
			[]string{"Unimplemented", "no error"}, 0,
		},
		"a client that keeps the cancellation to itself": {
			"cancel",
			func(next grpc.ClientConnInterface, ctx context.Context, method string, in, out any, opts ...grpc.CallOption) error {
				rest, cancel := until(ctx, t)
				go func() {
					defer cancel()
					next.Invoke(rest, method, in, out, opts...)
				}()
				<-ctx.Done()
				return status.FromContextError(ctx.Err()).Err()
			},
			[]string{"the handler's context", "no end"}, hurried,
		},
		"a client that does not end": {
			"cancel",
			func(next grpc.ClientConnInterface, ctx context.Context, method string, in, out any, opts ...grpc.CallOption) error {
				rest, cancel := until(ctx, t)
				defer cancel()
				return next.Invoke(rest, method, in, out, opts...)
			},
			[]string{"Wait, cancelled", "to return"},
			hurried,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			standard := peers.GRPC()
			client := standard
			client.Dial = func(target string, opts ...grpc.CallOption) (peers.Client, error) {
				conn, err := standard.Dial(target, opts...)
				return changed{conn, tt.invoke}, err
			}
			s := open(t, peers.Pairing{Client: client, Server: standard}, gauge.New())
			s.bear(tt.patience)
			wantMismatch(t, s.Run(t.Context(), named(t, tt.call)).Err, tt.words...)
		})
	}
}

// A call that ignores its context is reported once and ends the station's
// checks instead of the demo.
func TestStuckCheck(t *testing.T) {
	release := make(chan struct{})
	s := open(t, peers.Pairing{Client: peers.GRPC(), Server: peers.GRPC()}, gauge.New())
	s.patience, s.grace = 50*time.Millisecond, 50*time.Millisecond
	blocks := Check{Call: "block", run: func(context.Context, *Station) error {
		<-release
		return nil
	}}
	wantMismatch(t, s.Run(t.Context(), blocks).Err, "block", "did not end the call")
	wantMismatch(t, s.Run(t.Context(), named(t, "unary")).Err, "unary", "block still blocks")
	close(release)
}

func TestMismatchIsOneLine(t *testing.T) {
	m := &MismatchError{"the reply", "a", "b"}
	if got, want := m.Error(), "the reply: expected a; came b"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	long := &demopb.ReadRequest{Station: strings.Repeat("ü\n", 200)}
	if got := short(long); strings.Contains(got, "\n") || len(got) > 124 {
		t.Errorf("short() = %q, want one line of at most 124 characters", got)
	}
}
