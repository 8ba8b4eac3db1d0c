//go:build !unix

package transport

import (
	"net"
	"syscall"

	"github.com/weir-rpc/weir/internal/frame"
)

// newPlainSocket says that this system's sockets are taken as any net.Conn.
func newPlainSocket(net.Conn, syscall.Conn, *frame.Reader) socket { return nil }
