// Command server is the server that the connectrpc conformance suite tests: the
// suite's service on weir. It reads one ServerCompatRequest from stdin, writes
// one ServerCompatResponse to stdout when it listens, and serves until SIGTERM.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // the suite asks for it

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/conformance/internal/conformancepb"
	"github.com/weir-rpc/weir/conformance/internal/pipe"
)

func main() {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, release) // a second signal ends the program at once
	if err := run(ctx, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "server: %v\n", err)
		os.Exit(1)
	}
}

// run is main without the process. It serves until ctx ends.
func run(ctx context.Context, in io.Reader, out io.Writer) error {
	req := new(conformancepb.ServerCompatRequest)
	if err := pipe.Read(in, req); err != nil {
		return fmt.Errorf("the runner's request on stdin: %w", err)
	}
	opts, err := options(req)
	if err != nil {
		return err
	}
	server := weir.NewServer(opts...)
	conformancepb.RegisterConformanceServiceServer(server, service{})
	var listen net.ListenConfig
	lis, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	resp := &conformancepb.ServerCompatResponse{Host: "127.0.0.1", PemCert: req.GetServerCreds().GetCert()}
	if addr, ok := lis.Addr().(*net.TCPAddr); ok {
		resp.Port = uint32(addr.Port)
	}
	if err := pipe.Write(out, resp); err != nil {
		_ = lis.Close()
		return fmt.Errorf("the answer to the runner on stdout: %w", err)
	}
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	return server.Serve(lis)
}

// options gives what the runner asks for.
func options(req *conformancepb.ServerCompatRequest) ([]weir.ServerOption, error) {
	switch {
	case req.Protocol != conformancepb.Protocol_PROTOCOL_GRPC:
		return nil, fmt.Errorf("the runner asks for %v, and this server speaks PROTOCOL_GRPC", req.Protocol)
	case req.HttpVersion != conformancepb.HTTPVersion_HTTP_VERSION_2:
		return nil, fmt.Errorf("the runner asks for %v, and this server speaks HTTP_VERSION_2", req.HttpVersion)
	}
	limit := math.MaxInt32
	if req.MessageReceiveLimit > 0 {
		limit = int(req.MessageReceiveLimit)
	}
	opts := []weir.ServerOption{weir.MaxRecvMsgSize(limit)}
	if !req.UseTls {
		return opts, nil
	}
	cert, err := tls.X509KeyPair(req.GetServerCreds().GetCert(), req.GetServerCreds().GetKey())
	if err != nil {
		return nil, fmt.Errorf("the server's certificate from the runner: %w", err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if len(req.ClientTlsCert) > 0 {
		cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		if !cfg.ClientCAs.AppendCertsFromPEM(req.ClientTlsCert) {
			return nil, errors.New("the client's certificate from the runner is not PEM")
		}
	}
	return append(opts, weir.Creds(credentials.NewTLS(cfg))), nil
}
