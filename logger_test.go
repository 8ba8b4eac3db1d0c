package weir_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// journal is a slog.Handler that remembers.
type journal struct {
	*lines

	with string // attributes of the logger
}

type lines struct {
	mu   sync.Mutex
	told sync.Cond
	all  []string
}

func newJournal() journal {
	l := new(lines)
	l.told.L = &l.mu
	return journal{lines: l}
}

func (journal) Enabled(context.Context, slog.Level) bool { return true }
func (j journal) WithGroup(string) slog.Handler          { return j }
func (j journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		j.with += " " + a.String()
	}
	return j
}

func (j journal) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message + j.with
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = append(j.all, line)
	j.told.Broadcast()
	return nil
}

// wait waits for a line that has all of the parts.
func (j journal) wait(t *testing.T, parts ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, j.told.Broadcast)()
	j.mu.Lock()
	defer j.mu.Unlock()
	for ctx.Err() == nil {
		for _, line := range j.all {
			if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
				return
			}
		}
		j.told.Wait()
	}
	t.Errorf("no line has %q in\n%s", parts, strings.Join(j.all, "\n"))
}

func (j journal) len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.all)
}

// Feature: slog logging of connections, states and panics
//
// Loggers hear of the life of servers and connections, on both sides, and of
// no call.
func TestLogger_Connections(t *testing.T) {
	client, server := newJournal(), newJournal()
	srv := weir.NewServer(weir.Logger(slog.New(server)))
	testpb.RegisterTestServiceServer(srv, echo{})
	lis := listen(t)
	background(t, srv, lis)
	c, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithLogger(slog.New(client)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stub := testpb.NewTestServiceClient(c)
	call := func() {
		if _, err := stub.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
			t.Fatal(err)
		}
	}
	call()
	remote := "remote=" + lis.Addr().String()
	target := "target=" + lis.Addr().String()
	client.wait(t, "INFO channel state changes", target, "from=CONNECTING to=READY")
	client.wait(t, "DEBUG connection begins", target, remote, "local=127", "security=insecure")
	server.wait(t, "INFO server serves", "address="+lis.Addr().String())
	server.wait(t, "DEBUG connection begins", "local="+lis.Addr().String())
	before := client.len() + server.len()
	for range 20 {
		call()
		_, _ = stub.FullDuplexCall(t.Context())
	}
	if after := client.len() + server.len(); after != before {
		t.Errorf("calls were logged: %q, %q", client.all, server.all)
	}
	_ = c.Close()
	client.wait(t, "DEBUG connection ended", remote, "by=local", "code=NO_ERROR", "age=", "sent=", "received=", "error=")
	client.wait(t, "INFO channel state changes", "to=SHUTDOWN")
	server.wait(t, "DEBUG connection ended", "by=", "error=") // GOAWAY, unless a socket closed with octets unread took it back
	srv.GracefulStop()
	server.wait(t, "INFO server drains")
}

// What is wrong with a connection is a warning that says why.
func TestLogger_Faults(t *testing.T) {
	t.Run("no server", func(t *testing.T) {
		lis := listen(t)
		_ = lis.Close()
		client := newJournal()
		c, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithLogger(slog.New(client)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Connect()
		client.wait(t, "WARN channel state changes", "to=TRANSIENT_FAILURE", "error=", "refused")
	})
	for name, tt := range map[string]struct {
		opening string // that makes a connection, if any
		says    string
		wants   []string
	}{
		"no preface": {"", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", []string{"WARN connection refused", "error=", "HTTP/1"}},
		"a probe":    {"", "", []string{"DEBUG connection refused", "error="}},
		"a broken frame": {
			"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x00\x00\x00\x06\x00\x00\x00\x00\x00",
			[]string{"WARN connection ended", "by=local", "code=FRAME_SIZE_ERROR", "error="},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := newJournal()
			srv := weir.NewServer(weir.Logger(slog.New(server)))
			lis := listen(t)
			background(t, srv, lis)
			nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", lis.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if tt.opening != "" {
				if _, err := io.WriteString(nc, tt.opening); err != nil {
					t.Fatal(err)
				}
				server.wait(t, "connection begins")
			}
			if _, err := io.WriteString(nc, tt.says); err != nil {
				t.Fatal(err)
			}
			if tt.says == "" {
				_ = nc.Close()
			}
			server.wait(t, append(tt.wants, "remote="+nc.LocalAddr().String())...)
			_ = nc.Close()
		})
	}
}

const panicVariable = "WEIR_TEST_PANIC"

// A handler's panic is logged, with its stack, before it ends the program.
func TestLogger_Panic(t *testing.T) {
	if os.Getenv(panicVariable) != "" {
		panicInHandler(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLogger_Panic$")
	cmd.Env = append(os.Environ(), panicVariable+"=1")
	out, err := cmd.CombinedOutput()
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		t.Errorf("the program ended with %v", err)
	}
	for _, part := range []string{
		`level=ERROR msg="handler panics" method=/grpc.testing.TestService/EmptyCall panic="a fault of the handler"`, "panicking.EmptyCall",
		"panic: a fault of the handler [recovered, repanicked]",
	} {
		if !bytes.Contains(out, []byte(part)) {
			t.Errorf("%q is not in\n%s", part, out)
		}
	}
}

type panicking struct {
	testpb.UnimplementedTestServiceServer
}

func (panicking) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	panic("a fault of the handler")
}

func panicInHandler(t *testing.T) {
	srv := weir.NewServer(weir.Logger(slog.New(slog.NewTextHandler(os.Stderr, nil))))
	testpb.RegisterTestServiceServer(srv, panicking{})
	lis := listen(t)
	background(t, srv, lis)
	c, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	_, err = testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{})
	t.Error("the program goes on with", err)
}

// profiled says what labels the goroutine of its handler has, and sets one that
// nobody takes back.
type profiled struct {
	testpb.UnimplementedTestServiceServer
}

func (profiled) UnaryCall(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	said := labelled("profiled.UnaryCall")
	pprof.SetGoroutineLabels(pprof.WithLabels(ctx, pprof.Labels("forgotten", "label")))
	of, _ := pprof.Label(ctx, "grpc.method")
	return &testpb.SimpleResponse{Username: said, OauthScope: of}, nil
}

func (profiled) FullDuplexCall(st grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	return st.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: []byte(labelled("profiled.FullDuplexCall"))}})
}

// labelled gives the labels of the goroutine that is in a function.
func labelled(function string) string {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		return err.Error()
	}
	for block := range strings.SplitSeq(b.String(), "\n\n") {
		if strings.Contains(block, function) {
			_, labels, _ := strings.Cut(block, "# labels: ")
			labels, _, _ = strings.Cut(labels, "\n")
			return labels
		}
	}
	return "no goroutine is in " + function
}

// Feature: pprof labels of handlers
//
// The goroutine of a handler has its method as label, and what one handler has
// set is not seen by the next that its goroutine serves.
func TestGoroutineLabels(t *testing.T) {
	for _, on := range []bool{false, true} {
		t.Run(fmt.Sprint(on), func(t *testing.T) {
			srv := weir.NewServer(weir.GoroutineLabels(on))
			testpb.RegisterTestServiceServer(srv, profiled{})
			lis := listen(t)
			background(t, srv, lis)
			c, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			stub := testpb.NewTestServiceClient(c)
			const path = "/grpc.testing.TestService/"
			want := func(method string) string {
				if !on {
					return ""
				}
				return `{"grpc.method":"` + path + method + `"}`
			}
			for i := range 5 {
				reply, err := stub.UnaryCall(t.Context(), &testpb.SimpleRequest{})
				if !on && i > 0 {
					break // nobody looks after what a handler has set
				}
				if err != nil || reply.GetUsername() != want("UnaryCall") || on != (reply.GetOauthScope() == path+"UnaryCall") {
					t.Errorf("call %d: the goroutine has %s, the context %q, %v, want %s", i, reply.GetUsername(), reply.GetOauthScope(), err, want("UnaryCall"))
				}
			}
			st, err := stub.FullDuplexCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if reply, err := st.Recv(); err != nil || on && string(reply.GetPayload().GetBody()) != want("FullDuplexCall") {
				t.Errorf("the stream's goroutine has %s, %v", reply.GetPayload().GetBody(), err)
			}
		})
	}
}

// A connection that a limit keeps out is refused for that.
func TestLogger_KeptOut(t *testing.T) {
	server := newJournal()
	srv := weir.NewServer(weir.Logger(slog.New(server)), weir.MaxConnections(1))
	lis := listen(t)
	background(t, srv, lis)
	for range 2 {
		nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", lis.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	server.wait(t, "WARN connection refused", "too many connections", "MaxConnections")
}
