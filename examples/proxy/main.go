// Command proxy passes every gRPC call on to another server, whatever its service is.
// It does not decode the messages:
//
//	go run ./examples/proxy -listen :8080 -target localhost:50051
//
// Messages, metadata, trailers, status, deadlines and cancellation pass through.
// So does back-pressure: if one end does not read, the other end cannot go on
// sending, and what is on its way meanwhile is bounded by the windows of both
// connections.
package main

import (
	"context"
	"flag"
	"io"
	"log"
	"net"
	"strings"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

func main() {
	address := flag.String("listen", "localhost:8080", "the `address` to serve")
	target := flag.String("target", "localhost:50051", "the `server` to call")
	flag.Parse()
	c, err := weir.NewClient(*target, weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	lis, err := new(net.ListenConfig).Listen(context.Background(), "tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(weir.NewServer(weir.UnknownServiceHandler(forward(c))).Serve(lis))
}

// forward gives a handler that makes each call again, to c.
func forward(c grpc.ClientConnInterface) grpc.StreamHandler {
	return func(_ any, in grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(in)
		md, _ := metadata.FromIncomingContext(in.Context())
		ctx, cancel := context.WithCancelCause(metadata.NewOutgoingContext(in.Context(), md))
		defer cancel(nil)
		out, err := c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method, contentSubtype(md)...)
		if err != nil {
			return err
		}
		go func() {
			if err := pipe(out, in); err == io.EOF {
				_ = out.CloseSend()
			} else {
				cancel(err) // a request that is too large, for example
			}
		}()
		if header, err := out.Header(); err == nil && header != nil {
			_ = in.SendHeader(header)
		}
		err = pipe(in, out)
		in.SetTrailer(out.Trailer())
		switch {
		case err == io.EOF:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		return err
	}
}

// stream is what both ends have in common.
type stream interface {
	SendMsg(m any) error
	RecvMsg(m any) error
}

// pipe hands messages on until an error, which is io.EOF after the last one.
func pipe(to, from stream) error {
	var m weir.Raw
	defer m.Free()
	for {
		if err := from.RecvMsg(&m); err != nil {
			return err
		}
		if err := to.SendMsg(&m); err != nil {
			return err
		}
	}
}

// contentSubtype keeps what the client says its messages are.
func contentSubtype(md metadata.MD) []grpc.CallOption {
	_, subtype, ok := strings.Cut(strings.Join(md.Get("content-type"), ""), "+")
	if !ok {
		return nil
	}
	return []grpc.CallOption{grpc.ForceCodecV2(weir.RawCodec{}), grpc.CallContentSubtype(subtype)}
}
