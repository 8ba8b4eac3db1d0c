package loopback

import (
	"net"
	"runtime"
	"testing"

	"github.com/weir-rpc/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestAddress(t *testing.T) {
	seen := make(map[string]bool)
	for range 300 {
		a := Address()
		if seen[a] && runtime.GOOS == "linux" {
			t.Errorf("%s is given twice", a)
		}
		seen[a] = true
	}
	lis, err := net.Listen("tcp", Address())
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	c, err := net.Dial("tcp", lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if from := c.LocalAddr().(*net.TCPAddr).IP; runtime.GOOS == "linux" && from.Equal(lis.Addr().(*net.TCPAddr).IP) {
		t.Errorf("clients connect from %v, too", from)
	}
}
