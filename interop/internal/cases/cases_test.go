package cases

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inproc"
	"github.com/weir-rpc/weir/interop/internal/testservice"
	"github.com/weir-rpc/weir/servehttp"
)

// target serves what register registers, and gives a client of it.
func target(t *testing.T, register func(*weir.Server)) (*Target, *bytes.Buffer) {
	t.Helper()
	server := weir.NewServer()
	register(server)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(lis) }()
	dial := func() (*weir.Client, error) {
		return weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()))
	}
	client, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		server.Stop()
		if err := <-served; err != nil && !errors.Is(err, weir.ErrServerStopped) { // stopped before it served
			t.Error(err)
		}
	})
	log := new(bytes.Buffer)
	return &Target{Client: client, Dial: dial, Log: log, Calls: 100, Soak: Soak{
		Iterations: 10, Threads: 2, MaxLatency: time.Minute, OverallTimeout: time.Minute, RequestSize: 20_000, ResponseSize: 30_000,
	}}, log
}

// inProcess is target without a socket.
func inProcess(t *testing.T, register func(*weir.Server)) (*Target, *bytes.Buffer) {
	t.Helper()
	to, log := target(t, func(*weir.Server) {})
	server := weir.NewServer()
	register(server)
	to.Dial = func() (*weir.Client, error) { return inproc.NewClient(server) }
	client, err := to.Dial()
	if err != nil {
		t.Fatal(err)
	}
	to.Client = client
	t.Cleanup(func() {
		client.Close()
		server.Stop()
	})
	return to, log
}

// behindHTTP is target with net/http between.
func behindHTTP(t *testing.T, register func(*weir.Server)) (*Target, *bytes.Buffer) {
	t.Helper()
	to, log := target(t, func(*weir.Server) {})
	server := weir.NewServer()
	register(server)
	front := httptest.NewUnstartedServer(servehttp.Handler(server))
	front.Config.Protocols = new(http.Protocols)
	front.Config.Protocols.SetUnencryptedHTTP2(true)
	front.Start()
	to.Dial = func() (*weir.Client, error) {
		return weir.NewClient(front.Listener.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()))
	}
	client, err := to.Dial()
	if err != nil {
		t.Fatal(err)
	}
	to.Client = client
	t.Cleanup(func() {
		client.Close()
		server.Stop()
		front.Close()
	})
	return to, log
}

func TestCasesPass(t *testing.T) {
	for name, target := range map[string]func(*testing.T, func(*weir.Server)) (*Target, *bytes.Buffer){"http2": target, "inproc": inProcess, "net/http": behindHTTP} {
		t.Run(name, func(t *testing.T) {
			for _, c := range All {
				t.Run(c.Name, func(t *testing.T) {
					to, log := target(t, testservice.Register)
					err := c.Run(t.Context(), to)
					switch {
					case c.Defect == "" && err != nil:
						t.Errorf("%v\n%s", err, log)
					case c.Defect != "" && err == nil:
						t.Error("it passes: take out the note of the defect")
					}
				})
			}
		})
	}
}

// Our own cases fail, each against a server without what it is about.
func TestCasesFail(t *testing.T) {
	nothing := func(*weir.Server) {}
	grpcGo := func(s *weir.Server) { testgrpc.RegisterTestServiceServer(s, interop.NewTestServer()) }
	for _, tt := range []struct {
		name     string
		register func(*weir.Server)
		soak     func(*Soak)
		want     string // is part of the error
	}{
		{"client_compressed_unary", grpcGo, nil, "an uncompressed request with expect_compressed: the call succeeded, want InvalidArgument"},
		{"client_compressed_unary", nothing, nil, "an uncompressed request with expect_compressed: want InvalidArgument: "},
		{"server_compressed_unary", grpcGo, nil, "a response with Compressed-Flag false, want true"},
		{"server_compressed_unary", nothing, nil, "response_compressed true: "},
		{"client_compressed_streaming", grpcGo, nil, "the call succeeded, want InvalidArgument"},
		{"client_compressed_streaming", nothing, nil, "want InvalidArgument: "},
		{"server_compressed_streaming", grpcGo, nil, "a response with Compressed-Flag false, want true"},
		{"server_compressed_streaming", nothing, nil, "compressed true: "},
		{"concurrent_large_unary", nothing, nil, "100 of 100 calls failed, one with: UnaryCall: rpc error: code = Unimplemented"},
		{"unimplemented_service", unimplementedServiceOf, nil, "a service that the server has not: the call succeeded"},
		{"rpc_soak", nothing, nil, "10 failures in 10 iterations, 0 are allowed"},
		{"rpc_soak", grpcGo, func(s *Soak) { s.MaxLatency = 0; s.MaxFailures = 9 }, "10 failures in 10 iterations, 9 are allowed"},
		{"rpc_soak", grpcGo, func(s *Soak) { s.OverallTimeout = time.Nanosecond }, "0 of 10 iterations within 1ns"},
		{"channel_soak", nothing, nil, "10 failures in 10 iterations, 0 are allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			to, _ := target(t, tt.register)
			if tt.soak != nil {
				tt.soak(&to.Soak)
			}
			err := Named(tt.name).Run(t.Context(), to)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}

// unimplementedServiceOf implements the service that is there to be missed.
func unimplementedServiceOf(s *weir.Server) {
	testgrpc.RegisterUnimplementedServiceServer(s, implemented{})
}

func TestNamed(t *testing.T) {
	for i, name := range Names() {
		if c := Named(name); c != &All[i] {
			t.Errorf("Named(%q) is another case, or the name stands twice", name)
		}
	}
	if Named("large_urinary") != nil {
		t.Error("a case that there is not")
	}
}
