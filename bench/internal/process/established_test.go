package process

import (
	"net"
	"runtime"
	"testing"
)

func TestEstablished(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("where there is no /proc")
	}
	all, err := listen(t.Context(), loopback, 2)
	if err != nil {
		t.Fatal(err)
	}
	other, err := listen(t.Context(), loopback, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i, lis := range []net.Listener{all[0], all[1], all[0], other[0]} {
		if n, err := established(all); n != int64(i) || err != nil {
			t.Errorf("%d connections, %v; want %d", n, err, i)
		}
		nc, err := net.Dial("tcp", lis.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		// The server's end is established a moment after the client's.
		end, err := lis.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer end.Close()
	}
	if n, err := established(all); n != 3 || err != nil {
		t.Errorf("%d connections, %v; want 3 beside one of another port", n, err)
	}
	for _, lis := range append(all, other...) {
		_ = lis.Close()
	}
}
