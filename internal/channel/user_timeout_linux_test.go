package channel

import (
	"context"
	"math"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"golang.org/x/sys/unix"
)

// sockopts are the options of a TCP socket that count here: milliseconds,
// whether it probes, and seconds.
type sockopts struct{ user, probing, idle, interval int }

func optionsOf(t *testing.T, nc net.Conn) (o sockopts) {
	t.Helper()
	rc, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	get := func(fd uintptr, level, opt int) int {
		n, err := unix.GetsockoptInt(int(fd), level, opt)
		if err != nil {
			t.Error(err)
		}
		return n
	}
	if err := rc.Control(func(fd uintptr) {
		o.user = get(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		o.probing = get(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
		o.idle = get(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
		o.interval = get(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL)
	}); err != nil {
		t.Fatal(err)
	}
	return o
}

// dialed gives a connection of d to a listener.
func dialed(t *testing.T, d net.Dialer, network, address string) net.Conn {
	t.Helper()
	lis, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lis.Close() })
	nc, err := d.DialContext(context.Background(), network, lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

func withUserTimeout(ms int) func(network, address string, rc syscall.RawConn) error {
	return func(_, _ string, rc syscall.RawConn) (err error) {
		if e := rc.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, ms)
		}); e != nil {
			return e
		}
		return err
	}
}

// Row B4: TCP_USER_TIMEOUT is set, with probes that fit it; what the user has
// set, or switched off, stays.
func TestSetUserTimeout(t *testing.T) {
	const s = time.Second
	for name, tt := range map[string]struct {
		dialer net.Dialer
		d      time.Duration
		want   sockopts
	}{
		"20 s":            {net.Dialer{}, 20 * s, sockopts{20_000, 1, 10, 3}},
		"too short":       {net.Dialer{}, 1500 * time.Millisecond, sockopts{1500, 0, 15, 15}},
		"less than 1 ms":  {net.Dialer{}, 1, sockopts{1, 0, 15, 15}},
		"too long":        {net.Dialer{}, math.MaxInt64, sockopts{math.MaxInt32, 1, 15, 15}},
		"no probes":       {net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: false}, KeepAlive: -1}, 20 * s, sockopts{20_000, 0, 7200, 75}},
		"own timeout":     {net.Dialer{Control: withUserTimeout(77)}, 20 * s, sockopts{77, 1, 15, 15}},
		"own, no probing": {net.Dialer{Control: withUserTimeout(77), KeepAlive: -1}, 20 * s, sockopts{77, 0, 7200, 75}},
	} {
		t.Run(name, func(t *testing.T) {
			nc := dialed(t, tt.dialer, "tcp", "127.0.0.1:0")
			SetUserTimeout(nc, tt.d)
			got := optionsOf(t, nc)
			if tt.want.idle == 7200 { // the system's own, whatever they are
				got.idle, got.interval = 7200, 75
			}
			if tt.want.probing == 0 && tt.want.idle == 15 {
				got.idle, got.interval = 15, 15 // nothing waits for them
			}
			if got != tt.want {
				t.Errorf("the socket has %+v, want %+v", got, tt.want)
			}
		})
	}
}

// Row B4: what is no *net.TCPConn is left alone, also if one is inside.
func TestSetUserTimeoutOfOthers(t *testing.T) {
	nc := dialed(t, net.Dialer{}, "tcp", "127.0.0.1:0")
	before := optionsOf(t, nc)
	SetUserTimeout(struct{ *net.TCPConn }{nc.(*net.TCPConn)}, time.Second)
	if after := optionsOf(t, nc); after != before || after.user != 0 {
		t.Errorf("the socket had %+v and has %+v", before, after)
	}
	SetUserTimeout(dialed(t, net.Dialer{}, "unix", simnet.SocketPath(t)), time.Second)
	_ = nc.Close()
	SetUserTimeout(nc, time.Second) // is no fault
}

// Calls that are open on a server that does not answer are left to TCP, where that
// is known to end the connection, and else are not.
func TestOpenCallsAreLeftToTCP(t *testing.T) {
	tcp := func(ctx context.Context, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	for name, tt := range map[string]struct {
		dial    func(context.Context, string) (net.Conn, error)
		watched bool
	}{
		"the system's dialer": {nil, true},
		"a dialer of TCP":     {tcp, true},
		"one that wraps it": {func(ctx context.Context, address string) (net.Conn, error) {
			nc, err := tcp(ctx, address)
			return struct{ net.Conn }{nc}, err
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := &dialer{target: Target{Network: "tcp"}, custom: tt.dial}
			nc, watched, err := d.open(t.Context(), nil, lis.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if watched != tt.watched {
				t.Errorf("TCP ends it: %v, want %v", watched, tt.watched)
			}
		})
	}
	patient, hasty := &transport.AnswerPolicy{Timeout: 7, PatientCalls: true}, &transport.AnswerPolicy{Timeout: 7}
	if p := impatient(patient); *p != *hasty || !patient.PatientCalls {
		t.Errorf("a policy for others: %+v of %+v", p, patient)
	}
	if impatient(nil) != nil || impatient(hasty) != hasty {
		t.Error("what the user has said is changed")
	}
}
