// Command client calls the servers behind a headless Service, all of them in
// turns, as long as it runs. It reads its settings from the environment, and says
// at its end, by SIGTERM, how many calls there were, and how many failed.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc/credentials/insecure"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// config spreads calls over all addresses that DNS gives, but for those whose
// server says that it is not ready.
const config = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"healthCheckConfig": {"serviceName": "ready"}
}`

func main() {
	s, err := read(os.Getenv)
	if err != nil {
		log.Fatal(err)
	}
	t, err := call(s)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(t)
}

// call calls until SIGTERM.
func call(s settings) (*tally, error) {
	asked, forget := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer forget()
	client, err := weir.NewClient(s.target,
		weir.WithTransportCredentials(insecure.NewCredentials()),
		weir.WithDefaultServiceConfig(config),
		// Pods that are new have calls before one that is old has gone. DNS tells of
		// no change: it has to be asked.
		weir.WithDNS(weir.DNS{Interval: s.dns, MinInterval: s.dns}))
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }()
	stub, t := testpb.NewTestServiceClient(client), new(tally)
	due := time.NewTicker(s.interval)
	defer due.Stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		select {
		case <-asked.Done():
			return t, nil
		case <-due.C:
		}
		calls.Go(func() {
			// No call is cut off because this process is to end.
			ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
			defer cancel()
			out, err := stub.UnaryCall(ctx, &testpb.SimpleRequest{})
			if err != nil {
				log.Print(err)
			}
			t.add(out.GetHostname(), err)
		})
	}
}

// tally counts calls. It is safe for several goroutines.
type tally struct {
	mu     sync.Mutex
	failed int            // guarded by mu
	by     map[string]int // calls by who answered; guarded by mu
}

func (t *tally) add(by string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failed++
		return
	}
	if t.by == nil {
		t.by = make(map[string]int)
	}
	t.by[cmp.Or(by, "?")]++
}

// String is a line for all, and one for each server.
func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.failed
	var servers strings.Builder
	for _, by := range slices.Sorted(maps.Keys(t.by)) {
		n += t.by[by]
		fmt.Fprintf(&servers, "\n%s answered %d", by, t.by[by])
	}
	return fmt.Sprintf("%d calls, %d failed", n, t.failed) + servers.String()
}
