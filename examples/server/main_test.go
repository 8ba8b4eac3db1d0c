//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/leak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// variable makes the test's own program the server.
const variable = "WEIR_EXAMPLE_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(variable) != "" {
		main()
		return
	}
	leak.Main(m)
}

// process is a server that runs by itself.
type process struct {
	*exec.Cmd
	address string
	log     chan string // all that it says, when it has ended
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.CommandContext(t.Context(), program, append([]string{"-listen", "127.0.0.1:0"}, args...)...), log: make(chan string, 1)}
	p.Env = append(os.Environ(), variable+"=1")
	out, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	p.address = strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:])
	go func() {
		var rest bytes.Buffer
		_, _ = io.Copy(&rest, r)
		p.log <- rest.String()
	}()
	return p
}

// terminate sends SIGTERM.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// code waits for the end and gives the exit code.
func (p *process) code(t *testing.T) (code int, log string) {
	t.Helper()
	log = <-p.log
	err := p.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.ProcessState.ExitCode(), log
}

// dial gives a client of the first server that accepts connections.
func dial(t *testing.T, servers ...*process) *weir.Client {
	t.Helper()
	c, err := weir.NewClient("passthrough:///servers", weir.WithTransportCredentials(insecure.NewCredentials()),
		weir.WithContextDialer(func(ctx context.Context, _ string) (nc net.Conn, err error) {
			for _, p := range servers {
				if nc, err = new(net.Dialer).DialContext(ctx, "tcp", p.address); err == nil {
					break
				}
			}
			return nc, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// stream asks for messages at an interval.
func stream(ctx context.Context, c testpb.TestServiceClient, n int, interval time.Duration) error {
	in := new(testpb.StreamingOutputCallRequest)
	for range n {
		in.ResponseParameters = append(in.ResponseParameters, &testpb.ResponseParameters{Size: 100, IntervalUs: int32(interval.Microseconds())})
	}
	s, err := c.StreamingOutputCall(ctx, in)
	for err == nil {
		_, err = s.Recv()
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// Feature: GracefulStop
//
// A server that is asked to end while its clients keep calling fails no call: the
// open ones finish, the others go to the next server. It says NOT_SERVING before
// that, and its exit code is 0.
func TestSIGTERM_UnderLoad(t *testing.T) {
	old, next := start(t, "-notice", "100ms"), start(t, "-notice", "0s")
	conn := dial(t, old, next)
	c := testpb.NewTestServiceClient(conn)
	watch, err := healthpb.NewHealthClient(dial(t, old)).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	wantHealth := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if got, err := watch.Recv(); err != nil || got.GetStatus() != want {
			t.Errorf("health: %v, %v, want %v", got.GetStatus(), err, want)
		}
	}
	wantHealth(healthpb.HealthCheckResponse_SERVING)

	var calls atomic.Int64
	enough := make(chan struct{})
	var load sync.WaitGroup
	for range 8 {
		load.Go(func() {
			for {
				select {
				case <-enough:
					return
				default:
				}
				if _, err := c.UnaryCall(t.Context(), &testpb.SimpleRequest{}); err != nil {
					t.Errorf("a call: %v", err)
					return
				}
				calls.Add(1)
			}
		})
		load.Go(func() {
			if err := stream(t.Context(), c, 50, 10*time.Millisecond); err != nil {
				t.Errorf("a stream that was open: %v", err)
			}
		})
	}
	more := func() {
		t.Helper()
		for end, until := time.Now().Add(time.Minute), calls.Load()+1000; calls.Load() < until; {
			if time.Now().After(end) {
				t.Fatalf("%d calls of %d in a minute", calls.Load(), until)
			}
			<-time.After(time.Millisecond)
		}
	}
	more()
	old.terminate(t)
	wantHealth(healthpb.HealthCheckResponse_NOT_SERVING)
	if _, err := watch.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("health, when the server stops: %v", err)
	}
	if code, log := old.code(t); code != 0 {
		t.Errorf("the server's exit code is %d\n%s", code, log)
	}
	more() // of the next server
	close(enough)
	load.Wait()
	_ = conn.Close()
	next.terminate(t)
	if code, log := next.code(t); code != 0 {
		t.Errorf("the next server's exit code is %d\n%s", code, log)
	}
}

// A call that does not finish within the grace is cut off: the exit code and the
// log say so.
func TestSIGTERM_GraceIsOver(t *testing.T) {
	p := start(t, "-notice", "0s", "-grace", "100ms")
	c := testpb.NewTestServiceClient(dial(t, p))
	cut, err := c.StreamingOutputCall(t.Context(), &testpb.StreamingOutputCallRequest{
		ResponseParameters: []*testpb.ResponseParameters{{}, {IntervalUs: int32((20 * time.Minute).Microseconds())}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cut.Recv(); err != nil {
		t.Fatal(err)
	}
	p.terminate(t)
	if code, log := p.code(t); code != 1 || !strings.Contains(log, "/grpc.testing.TestService/StreamingOutputCall (1)") {
		t.Errorf("the exit code is %d, and the log\n%s", code, log)
	}
	if _, err := cut.Recv(); err == nil || err == io.EOF {
		t.Error("the call that was cut off has no error")
	}
}
