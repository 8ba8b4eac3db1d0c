package main

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/conformance/internal/conformancepb"
	"github.com/weir-rpc/weir/conformance/internal/pipe"
)

// echo answers each message with its data, and ends with ABORTED at "abort".
type echo struct {
	conformancepb.UnimplementedConformanceServiceServer
}

func (echo) BidiStream(stream grpc.BidiStreamingServer[conformancepb.BidiStreamRequest, conformancepb.BidiStreamResponse]) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	stream.SetTrailer(metadata.MD{"seen-bin": md["sent-bin"]})
	for {
		req, err := stream.Recv()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case string(req.RequestData) == "abort":
			return grpc.ErrServerStopped // any error
		}
		if err := stream.Send(&conformancepb.BidiStreamResponse{Payload: &conformancepb.ConformancePayload{Data: req.RequestData}}); err != nil {
			return err
		}
	}
}

// port starts a server for one test.
func port(t *testing.T) uint32 {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := weir.NewServer()
	conformancepb.RegisterConformanceServiceServer(server, echo{})
	done := make(chan error, 1)
	go func() { done <- server.Serve(lis) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return uint32(lis.Addr().(*net.TCPAddr).Port)
}

// bidi is a full-duplex call with a message of each data.
func bidi(t *testing.T, port uint32, data ...string) *conformancepb.ClientCompatRequest {
	t.Helper()
	req := &conformancepb.ClientCompatRequest{
		TestName: "test", Protocol: conformancepb.Protocol_PROTOCOL_GRPC, HttpVersion: conformancepb.HTTPVersion_HTTP_VERSION_2,
		Codec: conformancepb.Codec_CODEC_PROTO, Host: "127.0.0.1", Port: port,
		Service: new("connectrpc.conformance.v1.ConformanceService"), Method: new("BidiStream"),
		StreamType:     conformancepb.StreamType_STREAM_TYPE_FULL_DUPLEX_BIDI_STREAM,
		RequestHeaders: []*conformancepb.Header{{Name: "sent-bin", Value: []string{"/w"}}},
	}
	for _, d := range data {
		req.RequestMessages = append(req.RequestMessages, packed(t, &conformancepb.BidiStreamRequest{RequestData: []byte(d)}))
	}
	return req
}

func packed(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// answers runs the program over reqs.
func answers(t *testing.T, reqs ...*conformancepb.ClientCompatRequest) []*conformancepb.ClientCompatResponse {
	t.Helper()
	var in, out bytes.Buffer
	for _, req := range reqs {
		if err := pipe.Write(&in, req); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(t.Context(), &in, &out); err != nil {
		t.Fatal(err)
	}
	var got []*conformancepb.ClientCompatResponse
	for {
		resp := new(conformancepb.ClientCompatResponse)
		switch err := pipe.Read(&out, resp); {
		case err == io.EOF:
			return got
		case err != nil:
			t.Fatal(err)
		}
		got = append(got, resp)
	}
}

func TestFullDuplex(t *testing.T) {
	on := port(t)
	for _, tt := range []struct {
		name   string
		data   []string
		cancel *conformancepb.ClientCompatRequest_Cancel
		got    string
		code   conformancepb.Code
		unsent int32
	}{
		{"nothing", nil, nil, "", 0, 0},
		{"two", []string{"a", "b"}, nil, "ab", 0, 0},
		{"fails in the middle", []string{"a", "abort", "c", "d"}, nil, "a", conformancepb.Code_CODE_UNKNOWN, 2},
		{"cancelled before the end", []string{"a"}, &conformancepb.ClientCompatRequest_Cancel{
			CancelTiming: &conformancepb.ClientCompatRequest_Cancel_BeforeCloseSend{BeforeCloseSend: new(emptypb.Empty)},
		}, "a", conformancepb.Code_CODE_CANCELED, 0},
		{"cancelled after one", []string{"a", "b", "c"}, &conformancepb.ClientCompatRequest_Cancel{
			CancelTiming: &conformancepb.ClientCompatRequest_Cancel_AfterNumResponses{AfterNumResponses: 1},
		}, "a", conformancepb.Code_CODE_CANCELED, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := bidi(t, on, tt.data...)
			req.Cancel = tt.cancel
			result := answers(t, req)[0].GetResponse()
			var got strings.Builder
			for _, p := range result.GetPayloads() {
				got.Write(p.Data)
			}
			if got.String() != tt.got || result.GetError().GetCode() != tt.code || result.GetNumUnsentRequests() != tt.unsent {
				t.Errorf("%v, want payloads %q, %v and %d unsent", result, tt.got, tt.code, tt.unsent)
			}
			if tt.cancel != nil {
				return
			}
			for _, h := range result.ResponseTrailers {
				if h.Name == "seen-bin" && len(h.Value) == 1 && h.Value[0] == "/w" {
					return
				}
			}
			t.Errorf("trailers %v without seen-bin", result.ResponseTrailers)
		})
	}
}

// The status of a call is a result; what keeps the call from being made is an
// error.
func TestResultOrError(t *testing.T) {
	on := port(t)
	for _, tt := range []struct {
		name  string
		edit  func(*conformancepb.ClientCompatRequest)
		code  conformancepb.Code
		fault string
	}{
		{"method that the server does not have", func(r *conformancepb.ClientCompatRequest) {
			r.Method, r.RequestMessages = new("Unimplemented"), []*anypb.Any{packed(t, new(conformancepb.UnimplementedRequest))}
		}, conformancepb.Code_CODE_UNIMPLEMENTED, ""},
		{"deadline", func(r *conformancepb.ClientCompatRequest) { r.TimeoutMs, r.RequestDelayMs = new(uint32(1)), 10_000 }, conformancepb.Code_CODE_DEADLINE_EXCEEDED, ""},
		{"nobody listens", func(r *conformancepb.ClientCompatRequest) { r.Port = 1 }, conformancepb.Code_CODE_UNAVAILABLE, ""},
		{"method that is not", func(r *conformancepb.ClientCompatRequest) { r.Method = new("Absent") }, 0, "the method Absent of connectrpc.conformance.v1.ConformanceService"},
		{"another protocol", func(r *conformancepb.ClientCompatRequest) { r.Protocol = conformancepb.Protocol_PROTOCOL_GRPC_WEB }, 0, "PROTOCOL_GRPC_WEB"},
		{"another HTTP", func(r *conformancepb.ClientCompatRequest) { r.HttpVersion = conformancepb.HTTPVersion_HTTP_VERSION_1 }, 0, "HTTP_VERSION_1"},
		{"another codec", func(r *conformancepb.ClientCompatRequest) { r.Codec = conformancepb.Codec_CODEC_JSON }, 0, "CODEC_JSON"},
		{"another compression", func(r *conformancepb.ClientCompatRequest) { r.Compression = conformancepb.Compression_COMPRESSION_ZSTD }, 0, "COMPRESSION_ZSTD"},
		{"a certificate that is none", func(r *conformancepb.ClientCompatRequest) { r.ServerTlsCert = []byte("x") }, 0, "not PEM"},
		{"two messages for a unary method", func(r *conformancepb.ClientCompatRequest) {
			r.Method, r.RequestMessages = new("Unary"), append(r.RequestMessages, r.RequestMessages...)
		}, 0, "2 messages"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := bidi(t, on, "a")
			tt.edit(req)
			got := answers(t, req)[0]
			if got.GetResponse().GetError().GetCode() != tt.code || !strings.Contains(got.GetError().GetMessage(), tt.fault) || (got.GetError() == nil) != (tt.fault == "") {
				t.Errorf("%v, want %v or error %q", got, tt.code, tt.fault)
			}
		})
	}
}

func TestEveryRequestIsAnswered(t *testing.T) {
	on := port(t)
	var reqs []*conformancepb.ClientCompatRequest
	for range 3 * parallel {
		reqs = append(reqs, bidi(t, on, "a"))
	}
	if got := answers(t, reqs...); len(got) != len(reqs) {
		t.Errorf("%d answers to %d requests", len(got), len(reqs))
	}
}

func TestRunFails(t *testing.T) {
	err := run(t.Context(), strings.NewReader("\x00\x00"), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "stdin") {
		t.Errorf("error %v for half a request", err)
	}
}
