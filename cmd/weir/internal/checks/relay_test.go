package checks

import (
	"io"
	"net"
	"testing"
)

func TestRelayCountsBothWays(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	r, err := newRelay(t.Context(), lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", r.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := lis.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for _, way := range []struct {
		from, to net.Conn
		octets   string
		count    func() int64
	}{
		{client, server, "up", r.toServer.Load},
		{server, client, "down!", r.toClient.Load},
	} {
		way.from.Write([]byte(way.octets))
		got := make([]byte, len(way.octets))
		if _, err := io.ReadFull(way.to, got); err != nil || string(got) != way.octets {
			t.Errorf("got %q, %v; want %q", got, err, way.octets)
		}
		if n := way.count(); n != int64(len(way.octets)) {
			t.Errorf("the relay counted %d octets, want %d", n, len(way.octets))
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("a connection outlived its relay")
	}
}
