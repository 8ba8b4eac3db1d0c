package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/testdata"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/interop/internal/cases"
)

// options are what the flags say.
type options struct {
	host     string
	port     int
	override string
	testCase *cases.Case
	tls      bool
	testCA   bool
	caFile   string
	soak     cases.Soak
}

// errUsage says that the flags are wrong, which out has been told.
var errUsage = errors.New("usage")

func parse(args []string, out io.Writer) (*options, error) {
	var o options
	var name, custom string
	var alts bool
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.host, "server_host", "localhost", "the `host` to connect to")
	flags.IntVar(&o.port, "server_port", 10000, "its `port`")
	flags.StringVar(&o.override, "server_host_override", "", "the `name` that the server's certificate is for, which is the :authority too (default: the host)")
	flags.StringVar(&name, "test_case", "large_unary", "the `case`: "+list())
	flags.BoolVar(&o.tls, "use_tls", false, "connect with TLS")
	flags.BoolVar(&o.testCA, "use_test_ca", false, "trust gRPC's test CA, or that of -ca_file, instead of the system's")
	flags.StringVar(&o.caFile, "ca_file", "", "the `file` of the CA's certificate for -use_test_ca, PEM (default: ca.pem of gRPC's test certificates)")
	flags.BoolVar(&alts, "use_alts", false, "not supported: ALTS is for Google Cloud")
	flags.StringVar(&custom, "custom_credentials_type", "", "not supported: these are for Google Cloud")
	soakFlags(flags, &o.soak)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil, err
	case err != nil:
		return nil, errUsage // Parse has told
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case alts:
		err = errors.New("-use_alts is not supported by this client: use -use_tls, or neither")
	case custom != "":
		err = errors.New("-custom_credentials_type is not supported by this client: use -use_tls, or neither")
	case cases.Named(name) == nil:
		err = fmt.Errorf("unknown test case %q: the cases are %s", name, list())
	case o.soak.Threads < 1 || o.soak.Iterations < 0:
		err = errors.New("-soak_num_threads has to be at least 1, and -soak_iterations 0")
	}
	if err != nil {
		fmt.Fprintf(out, "client: %v\n", err)
		return nil, errUsage
	}
	o.testCase = cases.Named(name)
	return &o, nil
}

func soakFlags(flags *flag.FlagSet, s *cases.Soak) {
	s.MaxLatency, s.OverallTimeout = time.Second, 10*time.Second
	flags.IntVar(&s.Iterations, "soak_iterations", 10, "`iterations` of rpc_soak and channel_soak")
	flags.IntVar(&s.MaxFailures, "soak_max_failures", 0, "`iterations` that may fail")
	flags.IntVar(&s.RequestSize, "soak_request_size", 271828, "size of the request's body in `octets`")
	flags.IntVar(&s.ResponseSize, "soak_response_size", 314159, "size of the response's body in `octets`")
	flags.IntVar(&s.Threads, "soak_num_threads", 1, "`threads` that share the iterations")
	duration := func(to *time.Duration, name string, unit time.Duration, usage string) {
		flags.Func(name, fmt.Sprintf("%s (default %d)", usage, *to/unit), func(value string) error {
			n, err := strconv.ParseUint(value, 10, 31)
			*to = time.Duration(n) * unit
			return err
		})
	}
	duration(&s.MaxLatency, "soak_per_iteration_max_acceptable_latency_ms", time.Millisecond, "`milliseconds` after which an iteration has failed")
	duration(&s.OverallTimeout, "soak_overall_timeout_seconds", time.Second, "`seconds` after which the test stops and fails")
	duration(&s.MinBetweenCalls, "soak_min_time_ms_between_rpcs", time.Millisecond, "`milliseconds` from one iteration to the next of a thread, at least")
}

func list() string { return strings.Join(cases.Names(), " ") }

func (o *options) address() string { return net.JoinHostPort(o.host, strconv.Itoa(o.port)) }

func (o *options) dialOptions() ([]weir.DialOption, error) {
	if !o.tls {
		opts := []weir.DialOption{weir.WithTransportCredentials(insecure.NewCredentials())}
		if o.override != "" {
			opts = append(opts, weir.WithDefaultCallOptions(grpc.CallAuthority(o.override)))
		}
		return opts, nil
	}
	cfg := &tls.Config{ServerName: o.override, MinVersion: tls.VersionTLS12}
	if o.testCA {
		roots, err := o.roots()
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = roots
	}
	return []weir.DialOption{weir.WithTransportCredentials(credentials.NewTLS(cfg))}, nil
}

// roots gives the CA to trust instead of the system's.
func (o *options) roots() (*x509.CertPool, error) {
	name := o.caFile
	if name == "" {
		name = testdata.Path("ca.pem")
	}
	pem, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("-ca_file: no certificate in %s", name)
	}
	return roots, nil
}
