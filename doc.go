// Package weir runs gRPC clients and servers over an HTTP/2 transport of its own.
//
// NewClient and NewServer take the place of grpc.NewClient and grpc.NewServer.
// Everything else stays: the code that protoc-gen-go-grpc generates, status
// codes, metadata, credentials, codecs and compressors are those of
// google.golang.org/grpc. Options have its names, meanings and defaults;
// docs/migrating.md lists the few that differ, and those that only weir has.
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
// One Client is enough for any number of calls at a time. Options whose names begin
// with With are for a Client, the others for a Server. Sizes are in octets.
//
// When calls hang or fail, package inspect says what each of them waits for; see
// docs/observe.md. Package transport is the transport alone, without names,
// balancers and codecs.
package weir
