//go:build linux

package engines

import (
	"bytes"
	"context"
	"net/http"
	"os/exec"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
	"go.etcd.io/etcd/client/v3/naming/resolver"
	"go.uber.org/zap"
	grpcresolver "google.golang.org/grpc/resolver"
)

// program is what `make etcd` has built, of the version in ../tools/go.mod.
const program = "../../../bin/etcd"

// etcd is a server of one member. It keeps its data over a restart.
type etcd struct {
	t   *testing.T
	dir string
	url string // of clients
	own string // of other members, which do not exist

	cmd  *exec.Cmd
	said bytes.Buffer // to be read when cmd has ended
}

// startEtcd starts an etcd server that ends with the test.
func startEtcd(t *testing.T) *etcd {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("there is no etcd (%v): `make etcd` builds the version that test/ecosystem/tools/go.mod pins", err)
	}
	host := hosts(1)[0]
	e := &etcd{t: t, dir: t.TempDir(), url: "http://" + host + ":2379", own: "http://" + host + ":2380"}
	e.start()
	t.Cleanup(func() {
		e.kill()
		if t.Failed() {
			t.Logf("etcd said:\n%s", tail(e.said.Bytes(), 2000))
		}
	})
	return e
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// start waits until etcd has elected itself.
func (e *etcd) start() {
	e.t.Helper()
	// A lease lasts for an election and a half, at least. What is killed is a process
	// and no machine: nothing has to be on a disk, which may be slow.
	e.cmd = exec.Command(program, "--data-dir", e.dir, "--unsafe-no-fsync", "--log-level", "warn", "--heartbeat-interval", "50", "--election-timeout", "500",
		"--listen-client-urls", e.url, "--advertise-client-urls", e.url,
		"--listen-peer-urls", e.own, "--initial-advertise-peer-urls", e.own, "--initial-cluster", "default="+e.own)
	e.cmd.Stderr = &e.said
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	for !e.healthy(ctx) {
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			e.kill()
			e.t.Fatalf("etcd is not healthy after %v:\n%s", most, tail(e.said.Bytes(), 2000))
		}
	}
}

func (e *etcd) healthy(ctx context.Context) bool {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url+"/health", http.NoBody)
	if err != nil {
		e.t.Fatal(err)
	}
	ask.Close = true
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// kill ends etcd at once.
func (e *etcd) kill() {
	_ = e.cmd.Process.Kill()
	_ = e.cmd.Wait()
}

// newEtcdClient gives a client of etcd's own.
func newEtcdClient(url string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{url}, DialTimeout: most, Logger: zap.NewNop()})
}

// client gives a client that is closed with the test.
func (e *etcd) client() *clientv3.Client {
	e.t.Helper()
	c, err := newEtcdClient(e.url)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { c.Close() })
	return c
}

// resolver gives that of etcd's authors, for the targets etcd:///NAME.
func (e *etcd) resolver() grpcresolver.Builder {
	e.t.Helper()
	b, err := resolver.NewBuilder(e.client())
	if err != nil {
		e.t.Fatal(err)
	}
	return b
}

// leaseTime is that of servers that register themselves, in seconds.
const leaseTime = 5

// register makes a server known under a name, for as long as this process lives
// and leaseTime more, or until leave.
func register(url, name, address string) (leave func() error, err error) {
	c, err := newEtcdClient(url)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	lease, err := c.Grant(ctx, leaseTime)
	if err != nil {
		return nil, err
	}
	alive, err := c.KeepAlive(context.Background(), lease.ID)
	if err != nil {
		return nil, err
	}
	go func() {
		for range alive { // one for each time that the lease lasts longer
		}
	}()
	m, err := endpoints.NewManager(c, name)
	if err != nil {
		return nil, err
	}
	key := name + "/" + address
	if err := m.AddEndpoint(ctx, key, endpoints.Endpoint{Addr: address}, clientv3.WithLease(lease.ID)); err != nil {
		return nil, err
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), most)
		defer cancel()
		return m.DeleteEndpoint(ctx, key)
	}, nil
}
