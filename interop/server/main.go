// Command server is a gRPC interop server on weir. Its flags are those of all
// gRPC interop servers:
// https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/testdata"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/interop/internal/testservice"
)

// The exit statuses.
const (
	statusOK     = 0
	statusFailed = 1
	statusUsage  = 2
)

// grace is how long open calls may go on after the signal to stop.
const grace = time.Second

func main() {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, release) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

// options are what the flags say.
type options struct {
	port     int
	tls      bool
	certFile string
	keyFile  string
}

// errUsage says that the flags are wrong, which out has been told.
var errUsage = errors.New("usage")

func parse(args []string, out io.Writer) (*options, error) {
	var o options
	var alts bool
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.IntVar(&o.port, "port", 10000, "the `port` to listen on; 0 takes a free one")
	flags.BoolVar(&o.tls, "use_tls", false, "serve TLS")
	flags.BoolVar(&alts, "use_alts", false, "not supported: ALTS is for Google Cloud")
	flags.StringVar(&o.certFile, "tls_cert_file", "", "the `file` of the certificate, PEM (default: server1.pem of gRPC's test certificates)")
	flags.StringVar(&o.keyFile, "tls_key_file", "", "the `file` of its key, PEM (default: server1.key)")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil, err
	case err != nil:
		return nil, errUsage // Parse has told
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case alts:
		err = errors.New("-use_alts is not supported by this server: use -use_tls, or neither")
	case (o.certFile == "") != (o.keyFile == ""):
		err = errors.New("-tls_cert_file and -tls_key_file belong together")
	}
	if err != nil {
		fmt.Fprintf(out, "server: %v\n", err)
		return nil, errUsage
	}
	return &o, nil
}

// run is main without the process. It serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) int {
	o, err := parse(args, out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return statusOK
	case err != nil:
		return statusUsage
	}
	if err := serve(ctx, o, out); err != nil {
		fmt.Fprintf(out, "server: %v\n", err)
		return statusFailed
	}
	return statusOK
}

func serve(ctx context.Context, o *options, out io.Writer) error {
	var opts []weir.ServerOption
	if o.tls {
		creds, err := o.credentials()
		if err != nil {
			return err
		}
		opts = append(opts, weir.Creds(creds))
	}
	server := weir.NewServer(opts...)
	testservice.Register(server)
	var listen net.ListenConfig
	lis, err := listen.Listen(ctx, "tcp", ":"+strconv.Itoa(o.port))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "interop server listening on %v\n", lis.Addr())
	served := make(chan error, 1)
	go func() { served <- server.Serve(lis) }()
	select {
	case err := <-served:
		server.Stop()
		return err
	case <-ctx.Done():
	}
	late := time.AfterFunc(grace, server.Stop)
	defer late.Stop()
	server.GracefulStop()
	return <-served
}

func (o *options) credentials() (credentials.TransportCredentials, error) {
	certFile, keyFile := o.certFile, o.keyFile
	if certFile == "" {
		certFile, keyFile = testdata.Path("server1.pem"), testdata.Path("server1.key")
	}
	return credentials.NewServerTLSFromFile(certFile, keyFile)
}
