//go:build !linux

package channel

import (
	"net"
	"time"
)

// setUserTimeout does nothing: this system has no such option, or none that is
// known here.
func setUserTimeout(*net.TCPConn, time.Duration) bool { return false }
