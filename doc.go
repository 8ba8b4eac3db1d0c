// Package weir runs gRPC services over a transport of its own.
//
// NewClient and NewServer take the place of grpc.NewClient and grpc.NewServer.
// Everything else stays: the code that protoc-gen-go-grpc generates, status
// codes, metadata, credentials, codecs and compressors are those of
// google.golang.org/grpc, and options have its names, meanings and defaults, but
// for what docs/migrating.md says.
//
//	conn, err := weir.NewClient("dns:///svc:443", weir.WithTransportCredentials(creds))
//	if err != nil {
//		return err
//	}
//	defer conn.Close()
//	reply, err := pb.NewEchoClient(conn).Echo(ctx, request)
//
//	srv := weir.NewServer(weir.Creds(creds))
//	pb.RegisterEchoServer(srv, impl)
//	return srv.Serve(listener)
//
// When calls hang or fail, package inspect says what each of them waits for; see
// docs/observe.md.
//
// The transport itself is the package transport, which stands alone.
package weir
