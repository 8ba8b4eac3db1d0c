// Package loopback has addresses of this machine to which servers of tests come back.
package loopback

import (
	"net"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
)

var last atomic.Uint32

// Address is where a server may listen: on port 0. On Linux, which has all of 127/8, it is
// another one each time, from which no client connects: the port that the server gets is
// free when it comes back. Elsewhere it is 127.0.0.1, where that is likely.
func Address() string {
	ip := net.IPv4(127, 0, 0, 1)
	if runtime.GOOS == "linux" {
		n := last.Add(1)
		ip = net.IPv4(127, 1+byte(os.Getpid()%250), byte(n>>8), byte(n))
	}
	return net.JoinHostPort(ip.String(), strconv.Itoa(0))
}
