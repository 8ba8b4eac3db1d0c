package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/testdata"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/interop/internal/cases"
	"github.com/weir-rpc/weir/interop/internal/testservice"
)

// result is what a run of the program leaves.
type result struct {
	status int
	out    string
}

func runFor(t *testing.T, args ...string) result {
	t.Helper()
	var out bytes.Buffer
	status := run(t.Context(), args, &out)
	return result{status, out.String()}
}

func TestFlags(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.pem")
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		out    string // is part of it
	}{
		{"help", []string{"-help"}, statusOK, "-server_host_override name"},
		{"default of a duration", []string{"-help"}, statusOK, "(default 1000)"},
		{"unknown flag", []string{"-use_quic"}, statusUsage, "flag provided but not defined: -use_quic"},
		{"unknown case", []string{"-test_case=large_urinary"}, statusUsage,
			`client: unknown test case "large_urinary": the cases are empty_unary large_unary client_compressed_unary`},
		{"the last of the cases", []string{"-test_case="}, statusUsage, "rpc_soak channel_soak\n"},
		{"ALTS", []string{"-use_alts"}, statusUsage, "client: -use_alts is not supported by this client: use -use_tls"},
		{"Google's credentials", []string{"-custom_credentials_type=google_default_credentials"}, statusUsage, "client: -custom_credentials_type is not supported"},
		{"argument", []string{"empty_unary"}, statusUsage, `client: unexpected argument "empty_unary"`},
		{"no threads", []string{"-soak_num_threads=0"}, statusUsage, "client: -soak_num_threads has to be at least 1"},
		{"no time", []string{"-soak_overall_timeout_seconds=-1"}, statusUsage, `invalid value "-1" for flag -soak_overall_timeout_seconds`},
		{"no CA", []string{"-use_tls", "-use_test_ca", "-ca_file", none}, statusFailed, "client: large_unary: open " + none},
		{"a key for a CA", []string{"-use_tls", "-use_test_ca", "-ca_file", testdata.Path("server1.key")}, statusFailed, "client: large_unary: -ca_file: no certificate in "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := runFor(t, tt.args...)
			if r.status != tt.status {
				t.Errorf("exit status %d, want %d", r.status, tt.status)
			}
			if !strings.Contains(r.out, tt.out) {
				t.Errorf("output %q, want %q in it", r.out, tt.out)
			}
		})
	}
}

func TestSoakFlags(t *testing.T) {
	o, err := parse(strings.Fields("-test_case rpc_soak -soak_iterations 1 -soak_max_failures 2 -soak_request_size 3 -soak_response_size 4 -soak_num_threads 5 "+
		"-soak_per_iteration_max_acceptable_latency_ms 6 -soak_overall_timeout_seconds 7 -soak_min_time_ms_between_rpcs 8"), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	want := cases.Soak{
		Iterations: 1, MaxFailures: 2, RequestSize: 3, ResponseSize: 4, Threads: 5,
		MaxLatency: 6 * time.Millisecond, OverallTimeout: 7 * time.Second, MinBetweenCalls: 8 * time.Millisecond,
	}
	if o.soak != want || o.testCase.Name != "rpc_soak" {
		t.Errorf("%+v of %s, want %+v", o.soak, o.testCase.Name, want)
	}
}

// serve serves what register registers and gives the port.
func serve(t *testing.T, register func(*weir.Server), opts ...weir.ServerOption) string {
	t.Helper()
	server := weir.NewServer(opts...)
	register(server)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(lis) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return strconv.Itoa(lis.Addr().(*net.TCPAddr).Port)
}

func TestRunsTheCase(t *testing.T) {
	pair, err := tls.LoadX509KeyPair(testdata.Path("server1.pem"), testdata.Path("server1.key"))
	if err != nil {
		t.Fatal(err)
	}
	plain := serve(t, testservice.Register)
	secure := serve(t, testservice.Register, weir.Creds(credentials.NewServerTLSFromCert(&pair)))
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		out    string // is part of it
	}{
		{"TCP", []string{"-server_port", plain, "-test_case=client_compressed_unary"}, statusOK, ""},
		{"soak", []string{"-server_port", plain, "-test_case=channel_soak", "-soak_iterations=3"}, statusOK, "3 of 3 iterations, 0 failures"},
		{"failed", []string{"-server_port", plain, "-test_case=rpc_soak", "-soak_iterations=2", "-soak_response_size=-1"}, statusFailed,
			"client: rpc_soak: 2 failures in 2 iterations, 0 are allowed\n"},
		{"TLS", []string{"-server_port", secure, "-use_tls", "-use_test_ca", "-server_host_override=foo.test.google.fr", "-test_case=client_compressed_unary"}, statusOK, ""},
		{"TLS and another CA file", []string{"-server_port", secure, "-use_tls", "-use_test_ca", "-ca_file", testdata.Path("ca.pem"),
			"-server_host_override=foo.test.google.fr", "-test_case=unimplemented_service"}, statusOK, ""},
		{"TLS of another name", []string{"-server_port", secure, "-use_tls", "-use_test_ca", "-test_case=unimplemented_service"}, statusFailed, "certificate"},
		{"TLS and the system's CAs", []string{"-server_port", secure, "-use_tls", "-server_host_override=foo.test.google.fr", "-test_case=unimplemented_service"}, statusFailed, "certificate"},
		{"TLS with a server that has none", []string{"-server_port", plain, "-use_tls", "-use_test_ca", "-test_case=unimplemented_service"}, statusFailed, "Unavailable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := runFor(t, append(tt.args, "-server_host=127.0.0.1")...)
			if r.status != tt.status || !strings.Contains(r.out, tt.out) {
				t.Errorf("exit status %d, want %d; output %q, want %q in it", r.status, tt.status, r.out, tt.out)
			}
		})
	}
}

// authority keeps the :authority of the last call.
type authority struct {
	testgrpc.UnimplementedTestServiceServer
	got []string
}

func (a *authority) EmptyCall(ctx context.Context, in *testgrpc.Empty) (*testgrpc.Empty, error) {
	a.got = metadata.ValueFromIncomingContext(ctx, ":authority")
	return in, nil
}

func TestServerHostOverrideIsTheAuthority(t *testing.T) {
	pair, err := tls.LoadX509KeyPair(testdata.Path("server1.pem"), testdata.Path("server1.key"))
	if err != nil {
		t.Fatal(err)
	}
	service := new(authority)
	register := func(s *weir.Server) { testgrpc.RegisterTestServiceServer(s, service) }
	plain := serve(t, register)
	secure := serve(t, register, weir.Creds(credentials.NewServerTLSFromCert(&pair)))
	const name = "foo.test.google.fr"
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"TCP", []string{"-server_port", plain}, "127.0.0.1:" + plain},
		{"TCP to another name", []string{"-server_port", plain, "-server_host_override", name}, name},
		{"TLS", []string{"-server_port", secure, "-server_host_override", name, "-use_tls", "-use_test_ca"}, name},
	} {
		t.Run(tt.name, func(t *testing.T) {
			service.got = nil
			if r := runFor(t, append(tt.args, "-server_host=127.0.0.1", "-test_case=empty_unary")...); r.status != statusOK {
				t.Fatal(r.out)
			}
			if !slices.Equal(service.got, []string{tt.want}) {
				t.Errorf("the server sees %q, want %q", service.got, tt.want)
			}
		})
	}
}
