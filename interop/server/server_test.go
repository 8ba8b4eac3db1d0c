package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/testdata"

	"github.com/weir-rpc/weir"
)

func TestFlags(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		out    string // is part of it
	}{
		{"help", []string{"-help"}, statusOK, "-tls_cert_file file"},
		{"unknown", []string{"-use_quic"}, statusUsage, "flag provided but not defined: -use_quic"},
		{"ALTS", []string{"-use_alts"}, statusUsage, "server: -use_alts is not supported by this server: use -use_tls"},
		{"no ALTS and no port", []string{"-use_alts=false", "-port=99999"}, statusFailed, "server: listen tcp: "},
		{"argument", []string{"now"}, statusUsage, `server: unexpected argument "now"`},
		{"no number", []string{"-port", "http"}, statusUsage, `invalid value "http" for flag -port`},
		{"certificate without key", []string{"-use_tls", "-tls_cert_file", "a.pem"}, statusUsage, "server: -tls_cert_file and -tls_key_file belong together"},
		{"no such files", []string{"-use_tls", "-tls_cert_file", "a.pem", "-tls_key_file", "a.key"}, statusFailed, "server: open a.pem: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if got := run(t.Context(), tt.args, &out); got != tt.status {
				t.Errorf("exit status %d, want %d", got, tt.status)
			}
			if !strings.Contains(out.String(), tt.out) {
				t.Errorf("output %q, want %q in it", &out, tt.out)
			}
		})
	}
}

// started runs the program and gives its port. stop ends it as SIGTERM does,
// and gives its exit status.
func started(t *testing.T, args ...string) (port string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, append(args, "-port=0"), w)
		_ = w.Close()
	}()
	line := make([]byte, 200)
	n, err := r.Read(line)
	m := regexp.MustCompile(`^interop server listening on .*:(\d+)\n$`).FindSubmatch(line[:n])
	if err != nil || m == nil {
		t.Fatalf("it says %q, %v", line[:n], err)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	return string(m[1]), func() int { cancel(); return <-status }
}

func TestServes(t *testing.T) {
	pem, err := os.ReadFile(testdata.Path("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	secure := credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "foo.test.google.fr"})
	other := filepath.Join(t.TempDir(), "other.pem")
	if pem, err = os.ReadFile(testdata.Path("server1.pem")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		creds credentials.TransportCredentials
		args  []string
	}{
		{"TCP", insecure.NewCredentials(), nil},
		{"TLS", secure, []string{"-use_tls"}},
		{"TLS from files", secure, []string{"-use_tls=true", "-tls_cert_file", other, "-tls_key_file", testdata.Path("server1.key")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port, stop := started(t, tt.args...)
			client, err := weir.NewClient("127.0.0.1:"+port, weir.WithTransportCredentials(tt.creds))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if _, err := testgrpc.NewTestServiceClient(client).EmptyCall(t.Context(), new(testgrpc.Empty)); err != nil {
				t.Error(err)
			}
			if got := stop(); got != statusOK {
				t.Errorf("exit status %d at the end, want %d", got, statusOK)
			}
		})
	}
}

// A call that goes on does not keep the server from its end, after some grace.
func TestStopsWithAnOpenCall(t *testing.T) {
	port, stop := started(t)
	client, err := weir.NewClient("127.0.0.1:"+port, weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	stream, err := testgrpc.NewTestServiceClient(client).FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := &testgrpc.StreamingOutputCallRequest{ResponseParameters: []*testgrpc.ResponseParameters{{Size: 1}}}
	if err := stream.Send(ask); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	if got := stop(); got != statusOK {
		t.Errorf("exit status %d, want %d", got, statusOK)
	}
	if _, err := stream.Recv(); err == nil || err == io.EOF {
		t.Errorf("the call ended with %v, want a failure", err)
	}
}
