package ecosystem

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/channelz"
	"github.com/weir-rpc/weir/test/ecosystem/internal/shelfpb"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
)

// grpcurl finds the program that `make grpcurl` has put into bin.
func grpcurl(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("../../bin/grpcurl-v*")
	if err != nil || len(files) == 0 {
		t.Fatalf("bin has no grpcurl (%v): `make grpcurl` builds the version that the Makefile pins", err)
	}
	return files[len(files)-1]
}

// Feature: grpcurl, over server reflection
//
// grpcurl finds the services of a weir Server by reflection, describes and
// calls them, over plain text and TLS, and tells statuses by its exit code.
func TestGrpcurl(t *testing.T) {
	program := grpcurl(t)
	creds, _ := secured(t)
	addresses := make(map[bool]string) // by whether it speaks TLS
	for _, secure := range []bool{false, true} {
		var opts []weir.ServerOption
		if secure {
			opts = append(opts, weir.Creds(creds))
		}
		srv := weir.NewServer(opts...)
		shelfpb.RegisterShelfServer(srv, &shelf{books: []*shelfpb.Book{{Number: 1, Title: "Weirs"}, {Number: 2, Title: "Locks"}}})
		healthpb.RegisterHealthServer(srv, health.NewServer())
		channelz.Register(srv)
		reflection.Register(srv)
		lis := listen(t)
		start(t, srv, lis)
		addresses[secure] = lis.Addr().String()
	}
	const notFound = 64 + 5 // grpcurl adds 64 to the code

	for _, tt := range []struct {
		name   string
		secure bool
		flags  []string
		args   []string
		exit   int
		output []string
	}{
		{"list", false, nil, []string{"list"}, 0, []string{"weir.ecosystem.v1.Shelf\n", "grpc.health.v1.Health\n"}},
		{"list methods", false, nil, []string{"list", "weir.ecosystem.v1.Shelf"}, 0, []string{"weir.ecosystem.v1.Shelf.Find\n"}},
		{"describe", false, nil, []string{"describe", "weir.ecosystem.v1.Shelf"}, 0, []string{"rpc List ( .weir.ecosystem.v1.ListRequest ) returns ( stream .weir.ecosystem.v1.Book );"}},
		{"describe a message", false, nil, []string{"describe", "weir.ecosystem.v1.Book"}, 0, []string{"string title = 2;"}},
		{"call", false, []string{"-v", "-H", "reader: me", "-d", `{"number": 1}`}, []string{"weir.ecosystem.v1.Shelf/Find"}, 0, []string{`"title": "Weirs"`, "reader: me"}},
		{"call over TLS", true, []string{"-d", `{"number": 1}`}, []string{"weir.ecosystem.v1.Shelf/Find"}, 0, []string{`"title": "Weirs"`}},
		{"a stream", false, nil, []string{"weir.ecosystem.v1.Shelf/List"}, 0, []string{"Weirs", "Locks"}},
		{"a status", false, []string{"-d", `{"number": 9}`}, []string{"weir.ecosystem.v1.Shelf/Find"}, notFound, []string{"NotFound", "no book has the number 9"}},
		{"channelz", false, nil, []string{"grpc.channelz.v1.Channelz/GetServers"}, 0, []string{`"callsStarted"`, `"listenSocket"`, "127.0.0.1:"}},
		{"health", false, nil, []string{"grpc.health.v1.Health/Check"}, 0, []string{"SERVING"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			security := "-plaintext"
			if tt.secure {
				security = "-insecure"
			}
			args := append(append([]string{security, "-max-time", "30"}, tt.flags...), addresses[tt.secure])
			cmd := exec.CommandContext(ctx, program, append(args, tt.args...)...)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			err := cmd.Run()
			exit := 0
			if failed, ok := errors.AsType[*exec.ExitError](err); ok {
				exit, err = failed.ExitCode(), nil
			}
			if err != nil || exit != tt.exit {
				t.Errorf("grpcurl ended with %d, %v, want %d", exit, err, tt.exit)
			}
			for _, part := range tt.output {
				if !strings.Contains(out.String(), part) {
					t.Errorf("%q is not in\n%s", part, out.String())
				}
			}
		})
	}
}
