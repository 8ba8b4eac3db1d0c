package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/conformance/internal/conformancepb"
	"github.com/weir-rpc/weir/conformance/internal/pipe"
)

func request() *conformancepb.ServerCompatRequest {
	return &conformancepb.ServerCompatRequest{
		Protocol: conformancepb.Protocol_PROTOCOL_GRPC, HttpVersion: conformancepb.HTTPVersion_HTTP_VERSION_2,
	}
}

func written(t *testing.T, req proto.Message) *bytes.Buffer {
	t.Helper()
	var in bytes.Buffer
	if err := pipe.Write(&in, req); err != nil {
		t.Fatal(err)
	}
	return &in
}

func TestRunRefuses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		edit  func(*conformancepb.ServerCompatRequest)
		fault string
	}{
		{"another protocol", func(r *conformancepb.ServerCompatRequest) { r.Protocol = conformancepb.Protocol_PROTOCOL_CONNECT }, "PROTOCOL_CONNECT"},
		{"another HTTP", func(r *conformancepb.ServerCompatRequest) { r.HttpVersion = conformancepb.HTTPVersion_HTTP_VERSION_3 }, "HTTP_VERSION_3"},
		{"TLS without a certificate", func(r *conformancepb.ServerCompatRequest) { r.UseTls = true }, "the server's certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := request()
			tt.edit(req)
			var out bytes.Buffer
			err := run(t.Context(), written(t, req), &out)
			if err == nil || !strings.Contains(err.Error(), tt.fault) || out.Len() > 0 {
				t.Errorf("error %v and %d octets of output, want %q and none", err, out.Len(), tt.fault)
			}
		})
	}
	t.Run("no request", func(t *testing.T) {
		if err := run(t.Context(), strings.NewReader(""), io.Discard); err == nil || !strings.Contains(err.Error(), "stdin") {
			t.Errorf("error %v", err)
		}
	})
}

// started runs the program for one test and gives a client of its service.
func started(t *testing.T, req *conformancepb.ServerCompatRequest) conformancepb.ConformanceServiceClient {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, written(t, req), w) }()
	resp := new(conformancepb.ServerCompatResponse)
	if err := pipe.Read(r, resp); err != nil {
		t.Fatal(err)
	}
	client, err := weir.NewClient(net.JoinHostPort(resp.Host, strconv.Itoa(int(resp.Port))), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return conformancepb.NewConformanceServiceClient(client)
}

func TestUnary(t *testing.T) {
	client := started(t, request())
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-bin", "\xff")
	var header, trailer metadata.MD
	reply, err := client.Unary(ctx, &conformancepb.UnaryRequest{ResponseDefinition: &conformancepb.UnaryResponseDefinition{
		ResponseHeaders:  []*conformancepb.Header{{Name: "h", Value: []string{"1", "2"}}},
		Response:         &conformancepb.UnaryResponseDefinition_ResponseData{ResponseData: []byte("data")},
		ResponseTrailers: []*conformancepb.Header{{Name: "t-bin", Value: []string{"/w"}}},
	}}, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(header["h"], ","); got != "1,2" {
		t.Errorf("header h is %q", got)
	}
	if got := strings.Join(trailer["t-bin"], ","); got != "\xff" {
		t.Errorf("trailer t-bin is %q", got)
	}
	info := reply.Payload.RequestInfo
	if string(reply.Payload.Data) != "data" || len(info.Requests) != 1 || info.TimeoutMs != nil {
		t.Errorf("payload %v", reply.Payload)
	}
	for _, h := range info.RequestHeaders {
		if h.Name == "x-bin" && len(h.Value) == 1 && h.Value[0] == "/w" {
			return
		}
	}
	t.Errorf("headers %v without x-bin", info.RequestHeaders)
}

func TestErrorTellsWhatWasSeen(t *testing.T) {
	client := started(t, request())
	_, err := client.Unary(t.Context(), &conformancepb.UnaryRequest{ResponseDefinition: &conformancepb.UnaryResponseDefinition{
		Response: &conformancepb.UnaryResponseDefinition_Error{Error: &conformancepb.Error{Code: conformancepb.Code_CODE_ABORTED, Message: new("no")}},
	}})
	s := status.Convert(err)
	if s.Code() != codes.Aborted || s.Message() != "no" || len(s.Details()) != 1 {
		t.Fatalf("status %v with details %v", s, s.Details())
	}
	if info, ok := s.Details()[0].(*conformancepb.ConformancePayload_RequestInfo); !ok || len(info.Requests) != 1 {
		t.Errorf("detail %v", s.Details()[0])
	}
}

func TestMessageReceiveLimit(t *testing.T) {
	req := request()
	req.MessageReceiveLimit = 1000
	client := started(t, req)
	for size, want := range map[int]codes.Code{900: codes.OK, 1100: codes.ResourceExhausted} {
		_, err := client.Unary(t.Context(), &conformancepb.UnaryRequest{RequestData: make([]byte, size)})
		if status.Code(err) != want {
			t.Errorf("%d octets: %v, want %v", size, err, want)
		}
	}
}

// Each response of a full-duplex call tells the request before it, and what is
// left follows the last request.
func TestBidiStream(t *testing.T) {
	client := started(t, request())
	for _, tt := range []struct {
		full bool
		want []int // requests that each response tells
	}{
		{true, []int{1, 1, 0}},
		{false, []int{2, 0, 0}},
	} {
		stream, err := client.BidiStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			req := &conformancepb.BidiStreamRequest{FullDuplex: tt.full}
			if i == 0 {
				req.ResponseDefinition = &conformancepb.StreamResponseDefinition{ResponseData: [][]byte{{0}, {1}, {2}}}
			}
			if err := stream.Send(req); err != nil {
				t.Fatal(err)
			}
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		for i, want := range tt.want {
			resp, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if got := len(resp.Payload.GetRequestInfo().GetRequests()); got != want || resp.Payload.Data[0] != byte(i) {
				t.Errorf("full duplex %v, response %d: %v, want %d requests", tt.full, i, resp.Payload, want)
			}
		}
		if _, err := stream.Recv(); err != io.EOF {
			t.Errorf("full duplex %v: error %v at the end, want io.EOF", tt.full, err)
		}
	}
}
