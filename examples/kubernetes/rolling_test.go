//go:build linux

package kubernetes

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// notice is how long a server serves after SIGTERM.
const notice = 1500 * time.Millisecond

// pod is a server, which runs by itself.
type pod struct {
	*exec.Cmd
	address netip.AddrPort
	log     chan string // what it says after the first line, when it has ended
}

// begin runs the server at an address, and returns when it is ready.
func begin(t *testing.T, programs, name string, at netip.AddrPort) *pod {
	t.Helper()
	p := &pod{Cmd: exec.CommandContext(t.Context(), filepath.Join(programs, "server")), log: make(chan string, 1)}
	p.Env = []string{"LISTEN=" + at.String(), "POD_NAME=" + name, "NOTICE=" + notice.String(), "GRACE=20s"}
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
		t.Fatalf("%v: %s", err, line)
	}
	if p.address, err = netip.ParseAddrPort(strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:])); err != nil {
		t.Fatal(err)
	}
	go func() {
		var rest bytes.Buffer
		_, _ = io.Copy(&rest, r)
		p.log <- rest.String()
	}()
	if got, err := probe(t, p, "ready"); got != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("%s: the readiness probe hears %v, %v", name, got, err)
	}
	return p
}

// probe asks as the kubelet does: with grpc-go, over a new connection, in plain text.
func probe(t *testing.T, p *pod, service string) (healthpb.HealthCheckResponse_ServingStatus, error) {
	t.Helper()
	c, err := grpc.NewClient("passthrough:///"+p.address.String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent("kube-probe"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := healthpb.NewHealthClient(c).Check(ctx, &healthpb.HealthCheckRequest{Service: service})
	return out.GetStatus(), err
}

// end is SIGTERM, and waits for exit code 0.
func (p *pod) end(t *testing.T) {
	t.Helper()
	asked := time.Now()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// It is alive until it has ended, though it is not ready any more. On a busy
	// machine the probe may come when it has.
	got, err := probe(t, p, "alive")
	if late := time.Since(asked) > notice; got != healthpb.HealthCheckResponse_SERVING && !late {
		t.Errorf("the liveness probe hears %v, %v after SIGTERM", got, err)
	}
	log := <-p.log
	if err := p.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, log)
	}
}

// All pods are replaced, one after the other and each by one with another address,
// as a rolling update does, under 200 calls a second: no call fails, all pods
// answer some, and each ends with exit code 0.
func rollingUpdate(t *testing.T, programs string) {
	t.Helper()
	const pods = 3
	names := serveNames(t)
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), 0)
	var running []*pod
	next := func() *pod {
		t.Helper()
		p := begin(t, programs, "pod-at-"+at.Addr().String(), at)
		at = netip.AddrPortFrom(at.Addr().Next(), p.address.Port()) // all have one port
		running = append(running, p)
		return p
	}
	tell := func() {
		var list []netip.Addr
		for _, p := range running {
			list = append(list, p.address.Addr())
		}
		names.set(list...)
	}
	for range pods {
		next()
	}
	tell()
	client := exec.CommandContext(t.Context(), filepath.Join(programs, "client"))
	client.Env = []string{
		fmt.Sprintf("TARGET=dns://%s/weir-server.default.svc.cluster.local:%d", names.conn.LocalAddr(), at.Port()),
		"DNS_INTERVAL=200ms", "INTERVAL=5ms", "TIMEOUT=20s",
	}
	var said bytes.Buffer
	client.Stdout, client.Stderr = &said, &said
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	names.await(t)
	for range pods {
		next()
		tell()
		names.await(t) // the client knows the new pod before the old one goes
		old := running[0]
		running = running[1:]
		tell()
		old.end(t)
	}
	if err := client.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := client.Wait(); err != nil {
		t.Errorf("the client: %v", err)
	}
	t.Logf("the client says:\n%s", &said)
	if !strings.Contains(said.String(), " 0 failed") {
		t.Error("calls failed")
	}
	for _, p := range running {
		p.end(t)
	}
	for n := 2; n < 2+2*pods; n++ {
		if name := fmt.Sprintf("pod-at-%v answered ", net.IPv4(127, 0, 0, byte(n))); !strings.Contains(said.String(), name) {
			t.Errorf("no call went to the pod at 127.0.0.%d", n)
		}
	}
}
