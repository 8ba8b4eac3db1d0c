package simnet

import (
	"net"
	"strings"
	"testing"
)

// However long the name of a test is.
func TestSocketPath(t *testing.T) {
	t.Run(strings.Repeat("long", 50), func(t *testing.T) {
		first, second := SocketPath(t), SocketPath(t)
		if first == second {
			t.Errorf("two sockets have one path, %s", first)
		}
		l, err := net.Listen("unix", first)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	})
}
