//go:build !linux

package transport

import (
	"net"

	"github.com/weir-rpc/weir/inspect"
)

// socketInfo asks the operating system about a connection: only Linux is asked.
func socketInfo(net.Conn) *inspect.Socket { return nil }
