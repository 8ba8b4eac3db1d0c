//go:build linux

package engines

import (
	"syscall"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/rolling"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Feature: A server whose packets get lost is left without keepalive
//
// One server of five is stopped as it is: its kernel acknowledges what comes, and
// accepts connections. New calls go to the others within the time that the option
// says, those that are open there fail a quarter of it later, and when the server
// goes on it is used again.
func TestRolling_ServerHangs(t *testing.T) {
	t.Parallel()
	const (
		left  = 1500 * time.Millisecond
		ended = 2 * time.Second
	)
	for _, b := range balancers {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			n, h := startDNS(t), hosts(fleet)
			n.set(shelf, h)
			servers := make(map[string]*rolling.Process)
			for _, a := range at(h...) {
				servers[a] = rolling.Start(t, a)
			}
			cc := dial(t, n.target(shelf), b.config, weir.WithAnswerTimeout(left))
			if b.config == roundRobin {
				wantSpread(t, cc, at(h...))
			}
			beside := control(t)
			run := rolling.Load{Rate: rate, Timeout: timeout, Call: unary(cc)}.Start()
			if err := pause(t.Context(), time.Second); err != nil {
				t.Fatal(err)
			}
			hung := servers[whoAnswers(t, cc)]
			stopped := run.Since()
			hung.Signal(syscall.SIGSTOP)
			if err := pause(t.Context(), 4*time.Second); err != nil {
				t.Fatal(err)
			}
			goesOn := run.Since()
			hung.Signal(syscall.SIGCONT)
			if b.config == roundRobin {
				wantSpread(t, cc, at(h...))
			}
			all, ofControl := run.Stop(), beside.Stop()
			t.Logf("stopped at %v; all: %v", stopped, all)
			t.Logf("control: %v", ofControl)
			late := late + ofControl.Longest // for what else the machine had to do
			after := all.Between(stopped+left+late, goesOn)
			t.Logf("when it was left: %v", after)
			wantAtOnce(t, after, ofControl)
			if len(all.Failed) == 0 && ofControl.Longest < time.Second { // else the server may have gone on before it was left
				t.Error("no call has failed that the server had")
			}
			for _, c := range all.Failed {
				if status.Code(c.Err) != codes.Unavailable || c.At > stopped+left+late || c.At+c.Took < stopped || c.At+c.Took > stopped+ended+late {
					t.Errorf("at %v, after %v: %v; the server was stopped at %v", c.At, c.Took, c.Err, stopped)
					break
				}
			}
		})
	}
}
