package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/weir-rpc/weir/cmd/weir/internal/checks"
	"github.com/weir-rpc/weir/cmd/weir/internal/demopb"
	"github.com/weir-rpc/weir/cmd/weir/internal/gauge"
	"github.com/weir-rpc/weir/cmd/weir/internal/peers"
)

// patiently is a limit for the race detector on a busy machine, which needs longer
// than people do.
const patiently = 2 * time.Minute

// The whole demo with the load in processes of their own, as JSON.
func TestDemo(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	patient := rootCommand(demoCommand(func() checks.Gauge { return gauge.New() }, patiently))
	var out, errOut bytes.Buffer
	status := execute(t.Context(), patient, []string{"demo", "--json"}, strings.NewReader(""), &out, &errOut)
	if status != statusOK || errOut.Len() != 0 {
		t.Fatalf("exit status %d, stderr %q, stdout:\n%s", status, errOut.String(), out.String())
	}
	var report demoReport
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%v in:\n%s", err, out.String())
	}
	if want := len(checks.All()) * len(peers.Pairings()); len(report.Checks) != want {
		t.Errorf("%d checks in the report, want %d", len(report.Checks), want)
	}
	for _, c := range report.Checks {
		if !c.OK || c.Took <= 0 {
			t.Errorf("check %+v, want it passed in some time", c)
		}
	}
	if !report.OK || report.Load == nil {
		t.Fatalf("the report is %+v, want it ok with a load", report)
	}
	ratios := report.Load.BaselineOverSubject
	for name, ratio := range map[string]float64{
		"calls": ratios.CallsPerSecond, "CPU": ratios.CPUPerCall, "allocs": ratios.AllocsPerCall,
		"p50": ratios.P50, "p99": ratios.P99,
	} {
		if ratio <= 0 {
			t.Errorf("the ratio of %s is %v, want it known", name, ratio)
		}
	}
}

func TestDemoWithoutTimeForItsLoad(t *testing.T) {
	t.Parallel()
	hurried := rootCommand(demoCommand(func() checks.Gauge { return gauge.New() }, patiently))
	var out, errOut bytes.Buffer
	status := execute(t.Context(), hurried, []string{"demo", "--limit", "1s"}, strings.NewReader(""), &out, &errOut)
	if status != statusFailed || !strings.Contains(out.String(), "✗ load\n  expected 4.4s for the load\n  came     0s, left of --limit 1s: raise it, or leave out the load (--skip-load)") {
		t.Errorf("exit status %d, stderr %q, stdout:\n%s", status, errOut.String(), out.String())
	}
}

func TestDemoAsText(t *testing.T) {
	t.Parallel()
	var stdout, errOut bytes.Buffer
	patient := rootCommand(demoCommand(func() checks.Gauge { return gauge.New() }, patiently))
	status := execute(t.Context(), patient, []string{"demo", "--skip-load"}, strings.NewReader(""), &stdout, &errOut)
	out := stdout.String()
	if status != statusOK || errOut.Len() != 0 {
		t.Fatalf("exit status %d, stderr %q, stdout:\n%s", status, errOut.String(), out)
	}
	for _, c := range checks.All() {
		if !strings.Contains(out, "\n"+c.Call+" ") {
			t.Errorf("no row for %q in:\n%s", c.Call, out)
		}
	}
	if strings.ContainsAny(out, "\x1b\r") {
		t.Errorf("there are control characters in what is no terminal: %q", out)
	}
	for line := range strings.Lines(out) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d characters in the line %q, want at most 80", n, line)
		}
	}
	if got := strings.Count(out, "✓"); got != len(checks.All())*len(peers.Pairings())+1 {
		t.Errorf("%d good results in:\n%s", got, out)
	}
}

// salty loses the trace of each reading.
type salty struct{ *gauge.Service }

func (s salty) Read(ctx context.Context, req *demopb.ReadRequest) (*demopb.Reading, error) {
	return s.Service.Read(ctx, &demopb.ReadRequest{Station: req.GetStation()})
}

func TestDemoTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	var out, errOut bytes.Buffer
	broken := rootCommand(demoCommand(func() checks.Gauge { return salty{gauge.New()} }, patiently))
	status := execute(t.Context(), broken, []string{"demo", "--skip-load"}, strings.NewReader(""), &out, &errOut)
	if status != statusFailed || errOut.Len() != 0 {
		t.Errorf("exit status %d, stderr %q; want 1 and none", status, errOut.String())
	}
	for _, want := range []string{
		"✗ failed", "✗ unary, ", "of       the reply of Read", "expected station:", "came     station:",
		`trace:"a trace"`, "✗ 20 MiB message, ", "expected 20971520 octets", "came     0 octets",
		"not as expected, in ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

func TestReportTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	var out, errOut bytes.Buffer
	broken := rootCommand(demoCommand(func() checks.Gauge { return salty{gauge.New()} }, patiently))
	status := execute(t.Context(), broken, []string{"demo", "--skip-load", "--json"}, strings.NewReader(""), &out, &errOut)
	if status != statusFailed || errOut.Len() != 0 {
		t.Errorf("exit status %d, stderr %q; want 1 and none", status, errOut.String())
	}
	var report demoReport
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%v in:\n%s", err, out.String())
	}
	if c := report.Checks[0]; report.OK || c.OK || c.What == "" || c.Expected == "" || c.Came == "" {
		t.Errorf("ok is %t and the unary check %+v, want what was expected and what came", report.OK, c)
	}
}

// cutOff ends a context when the text has been written.
type cutOff struct {
	text   string
	cancel func()
	got    bytes.Buffer
}

func (c *cutOff) Write(p []byte) (int, error) {
	c.got.Write(p)
	if strings.Contains(c.got.String(), c.text) {
		c.cancel()
	}
	return len(p), nil
}

// leak.Main sees whether the servers and clients have ended.
func TestInterrupt(t *testing.T) {
	for _, at := range []string{"call ", "deadline ", "stop "} {
		t.Run("at "+at, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out := &cutOff{text: "\n" + at, cancel: cancel}
			var errOut bytes.Buffer
			if status := run(ctx, []string{"demo"}, strings.NewReader(""), out, &errOut); status != statusInterrupted {
				t.Errorf("exit status %d, want %d; stdout:\n%s", status, statusInterrupted, out.got.String())
			}
			if got := errOut.String(); got != "interrupted\n" {
				t.Errorf("stderr %q, want one word", got)
			}
		})
	}
}

// A process of the load ends when the demo is gone, even if killed.
func TestProcessEndsWithItsInput(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "demo-load-server", "--peer", "grpc-go")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var hello struct{ Address string }
	if err := json.NewDecoder(out).Decode(&hello); err != nil || hello.Address == "" {
		t.Errorf("the process said %+v, %v; want its address", hello, err)
	}
	in.Close()
	io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the process ended with %v, want a clean end", err)
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		t.Errorf("the process was killed by %v", ws.Signal())
	}
}
