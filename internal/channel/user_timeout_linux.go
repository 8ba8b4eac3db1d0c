package channel

import (
	"math"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

func setUserTimeout(tc *net.TCPConn, d time.Duration) bool {
	rc, err := tc.SyscallConn()
	if err != nil {
		return false
	}
	set, has, probing := false, false, 0
	_ = rc.Control(func(fd uintptr) {
		s := int(fd)
		if own, err := unix.GetsockoptInt(s, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); err != nil || own != 0 {
			has = err == nil
			return
		}
		ms := min(max(d.Milliseconds(), 1), math.MaxInt32)
		set = unix.SetsockoptInt(s, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(ms)) == nil
		probing, _ = unix.GetsockoptInt(s, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
	})
	if set && probing != 0 {
		_ = tc.SetKeepAliveConfig(probes(d))
	}
	return set || has
}
