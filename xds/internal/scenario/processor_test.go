package scenario

import (
	"bytes"
	"context"
	"net"
	"os"
	"testing"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filterpb "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	processorpb "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typepb "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/xds/internal/controlplane"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// processor adds a header in either direction, and makes payloads upper case. Calls with
// the header "refused" it ends.
type processor struct {
	processorpb.UnimplementedExternalProcessorServer
}

func (processor) Process(st processorpb.ExternalProcessor_ProcessServer) error {
	for {
		in, err := st.Recv()
		if err != nil {
			return nil //nolint:nilerr // the call is over
		}
		out := new(processorpb.ProcessingResponse)
		switch in := in.GetRequest().(type) {
		case *processorpb.ProcessingRequest_RequestHeaders:
			out.Response = &processorpb.ProcessingResponse_RequestHeaders{RequestHeaders: added("x-asked", "processed")}
			for _, h := range in.RequestHeaders.GetHeaders().GetHeaders() {
				if h.GetKey() == "refused" {
					out.Response = &processorpb.ProcessingResponse_ImmediateResponse{ImmediateResponse: &processorpb.ImmediateResponse{
						Status:     &typepb.HttpStatus{Code: typepb.StatusCode_OK},
						GrpcStatus: &processorpb.GrpcStatus{Status: uint32(codes.PermissionDenied)}, Details: "not by me",
					}}
				}
			}
		case *processorpb.ProcessingRequest_RequestBody:
			out.Response = &processorpb.ProcessingResponse_RequestBody{RequestBody: loud(in.RequestBody, new(testpb.SimpleRequest))}
		case *processorpb.ProcessingRequest_ResponseHeaders:
			out.Response = &processorpb.ProcessingResponse_ResponseHeaders{ResponseHeaders: added("x-answered", "processed")}
		case *processorpb.ProcessingRequest_ResponseBody:
			out.Response = &processorpb.ProcessingResponse_ResponseBody{ResponseBody: loud(in.ResponseBody, new(testpb.SimpleResponse))}
		case *processorpb.ProcessingRequest_ResponseTrailers:
			out.Response = &processorpb.ProcessingResponse_ResponseTrailers{ResponseTrailers: &processorpb.TrailersResponse{}}
		}
		if err := st.Send(out); err != nil {
			return err
		}
	}
}

func added(key, value string) *processorpb.HeadersResponse {
	return &processorpb.HeadersResponse{Response: &processorpb.CommonResponse{HeaderMutation: &processorpb.HeaderMutation{
		SetHeaders: []*corepb.HeaderValueOption{{
			Header:       &corepb.HeaderValue{Key: key, Value: value},
			AppendAction: corepb.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}},
	}}}
}

// loud makes the payload of a message upper case.
func loud(in *processorpb.HttpBody, m interface {
	proto.Message
	GetPayload() *testpb.Payload
}) *processorpb.BodyResponse {
	body := in.GetBody()
	if !in.GetEndOfStreamWithoutMessage() && proto.Unmarshal(body, m) == nil {
		if p := m.GetPayload(); p != nil {
			p.Body = bytes.ToUpper(p.GetBody())
		}
		body, _ = proto.Marshal(m)
	}
	return &processorpb.BodyResponse{Response: &processorpb.CommonResponse{BodyMutation: &processorpb.BodyMutation{
		Mutation: &processorpb.BodyMutation_StreamedResponse{StreamedResponse: &processorpb.StreamedBodyResponse{
			Body: body, EndOfStream: in.GetEndOfStream(), EndOfStreamWithoutMessage: in.GetEndOfStreamWithoutMessage(),
		}},
	}}}
}

// mirror answers with the payload that it gets, and with the header that the processor
// adds as name.
type mirror struct {
	testpb.UnimplementedTestServiceServer
}

func (mirror) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	out := &testpb.SimpleResponse{Payload: in.GetPayload()}
	if asked := md.Get("x-asked"); len(asked) > 0 {
		out.Username = asked[0]
	}
	return out, nil
}

func (mirror) FullDuplexCall(st testpb.TestService_FullDuplexCallServer) error {
	for {
		in, err := st.Recv()
		if err != nil {
			return nil //nolint:nilerr // io.EOF, or the call is over
		}
		if err := st.Send(&testpb.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

func serve(t *testing.T, register func(*weir.Server)) (address string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, served := weir.NewServer(), make(chan error, 1)
	register(srv)
	go func() { served <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		<-served
	})
	return lis.Addr().String()
}

// Feature: xDS external processing
//
// An external processor sees what a call sends and gets, changes it, or ends the call
// (gRFC A93).
func TestProcessor(t *testing.T) {
	const variable = "GRPC_EXPERIMENTAL_XDS_EXT_PROC_ON_CLIENT"
	if os.Getenv(variable) == "" {
		inProcess(t, variable+"=true")
		return
	}
	each(t, func(t *testing.T, w *world) {
		behind := serve(t, func(s *weir.Server) { testpb.RegisterTestServiceServer(s, mirror{}) })
		between := serve(t, func(s *weir.Server) { processorpb.RegisterExternalProcessorServer(s, processor{}) })
		config := simple(controlplane.Cluster{Name: "one", Localities: controlplane.At(behind)})
		config.Listeners[0].Filters = map[string]proto.Message{"processor": &filterpb.ExternalProcessor{
			GrpcService: &corepb.GrpcService{TargetSpecifier: &corepb.GrpcService_GoogleGrpc_{GoogleGrpc: &corepb.GrpcService_GoogleGrpc{
				TargetUri:                "passthrough:///" + between,
				ChannelCredentialsPlugin: []*anypb.Any{{TypeUrl: "type.googleapis.com/envoy.extensions.grpc_service.channel_credentials.insecure.v3.InsecureCredentials"}},
			}}},
			ProcessingMode: &filterpb.ProcessingMode{
				RequestHeaderMode: filterpb.ProcessingMode_SEND, RequestBodyMode: filterpb.ProcessingMode_GRPC,
				ResponseHeaderMode: filterpb.ProcessingMode_SEND, ResponseBodyMode: filterpb.ProcessingMode_GRPC,
				ResponseTrailerMode: filterpb.ProcessingMode_SEND,
			},
		}}
		w.Set(config)
		w.open(how{bootstrap: w.Bootstrap(controlplane.Client{Trusted: true})})
		c := testpb.NewTestServiceClient(w.cc)

		in := &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte("hello")}}
		var header metadata.MD
		out, err := c.UnaryCall(w.within(), in, grpc.Header(&header))
		if err != nil || string(out.GetPayload().GetBody()) != "HELLO" || out.GetUsername() != "processed" {
			t.Errorf("unary: %v, %v", out, err)
		}
		st, err := c.FullDuplexCall(w.within())
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"one", "two"} {
			if err := st.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: []byte(word)}}); err != nil {
				t.Fatal(err)
			}
			if out, err := st.Recv(); err != nil || out.GetPayload() == nil {
				t.Fatalf("bidi: %v, %v", out, err)
			}
		}
		if header, err := st.Header(); err != nil || len(header.Get("x-answered")) != 1 {
			t.Errorf("the headers of the answer: %v, %v", header, err)
		}
		if err := st.CloseSend(); err != nil {
			t.Error(err)
		}
		if _, err := st.Recv(); err == nil {
			t.Error("the stream does not end")
		}
		finished := 0
		_, err = c.UnaryCall(metadata.AppendToOutgoingContext(w.within(), "refused", "yes"), in, grpc.OnFinish(func(error) { finished++ }))
		if status.Code(err) != codes.PermissionDenied || finished == 0 {
			t.Errorf("refused: %v; OnFinish is called %d times", err, finished)
		}
	})
}
