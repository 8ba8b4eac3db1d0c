package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/weir-rpc/weir/internal/leak"
)

// TestMain is also the main of the programs that the tests run in place of the
// real ones.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "client":
			os.Exit(fakeClient(os.Args[2], strings.Join(os.Args[3:], " ")))
		case "server":
			os.Exit(fakeServer(os.Args[2]))
		}
	}
	leak.Main(m)
}

// fakeClient fails in the case that failing names.
func fakeClient(failing, args string) int {
	fmt.Println(args)
	if failing != "" && strings.Contains(args, "-test_case="+failing) {
		fmt.Fprintln(os.Stderr, "got 1, want 2")
		return 1
	}
	return 0
}

// fakeServer listens, or not, until SIGTERM, or beyond.
func fakeServer(manner string) int {
	if manner == "broken" {
		fmt.Fprintln(os.Stderr, "no certificate")
		return 1
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 1
	}
	fmt.Printf("fake server listening on %v\n", lis.Addr())
	<-stop
	if manner == "sick" {
		fmt.Println("WARNING: DATA RACE")
		return 66
	}
	return 0
}

func TestFlags(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		errOut string // is part of it
	}{
		{"help", []string{"-help"}, statusOK, "-cases names"},
		{"unknown flag", []string{"-fast"}, statusUsage, "flag provided but not defined: -fast"},
		{"argument", []string{"empty_unary"}, statusUsage, `matrix: unexpected argument "empty_unary"`},
		{"unknown case", []string{"-cases=empty_unary,large_urinary"}, statusUsage, `matrix: unknown test case "large_urinary": the cases are empty_unary`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			if got := run(t.Context(), tt.args, &out, &errOut); got != tt.status {
				t.Errorf("exit status %d, want %d", got, tt.status)
			}
			if out.Len() > 0 || !strings.Contains(errOut.String(), tt.errOut) {
				t.Errorf("stdout %q, stderr %q; want %q in stderr", &out, &errOut, tt.errOut)
			}
		})
	}
}

func TestCasesFlag(t *testing.T) {
	o, err := parse([]string{"-cases=ping_pong,empty_unary", "-race"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if len(o.cases) != 2 || o.cases[0].Name != "ping_pong" || o.cases[1].Name != "empty_unary" || !o.race {
		t.Errorf("%+v, want ping_pong and empty_unary with -race", o)
	}
}

func TestBuildTellsWhatFailed(t *testing.T) {
	_, err := build(t.Context(), "none", t.TempDir(), "github.com/weir-rpc/weir/interop/none/")
	if err == nil || !strings.Contains(err.Error(), "go build github.com/weir-rpc/weir/interop/none/") {
		t.Errorf("error %v, want the command in it", err)
	}
}
