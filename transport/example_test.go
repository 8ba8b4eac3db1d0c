package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/weir-rpc/weir/transport"
)

// echo answers each message with the same one.
func echo(st transport.ServerStream) {
	for {
		m, err := st.Recv()
		if errors.Is(err, io.EOF) {
			st.WriteStatus(nil)
			return
		}
		if err != nil {
			return // the stream is over
		}
		answer := transport.NewBuffer(len(m.Data))
		copy(answer.Bytes(), m.Data)
		m.Free()
		if st.Send(answer) != nil {
			return
		}
	}
}

// serve serves connections with echo until the listener is closed.
func serve(lis net.Listener) {
	for {
		nc, err := lis.Accept()
		if err != nil {
			return
		}
		st, err := transport.NewServerTransport(nc, transport.ServerConfig{})
		if err != nil {
			continue // it says what the client did wrong, and nc is closed
		}
		st.StartStreams(context.Background(), echo, nil)
	}
}

func message(s string) transport.Buffer {
	m := transport.NewBuffer(len(s))
	copy(m.Bytes(), s)
	return m
}

// A connection is one that the program has made and secured itself.
func Example() {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer lis.Close()
	go serve(lis)

	ctx := context.Background()
	nc, err := net.Dial("tcp", lis.Addr().String())
	if err != nil {
		panic(err)
	}
	ct, err := transport.NewHTTP2Client(ctx, nc, transport.ClientConfig{})
	if err != nil {
		panic(err)
	}
	defer ct.Close("that was all")

	var reply transport.Reply
	err = ct.RoundTrip(ctx, &transport.Call{Method: "/example.Echo/One"}, message("one call"), &reply)
	fmt.Printf("%s, %v\n", reply.Message.Data, err)
	reply.Free()

	cs, err := ct.NewStream(ctx, &transport.Call{Method: "/example.Echo/Many"})
	if err != nil {
		panic(err)
	}
	for _, s := range []string{"many", "messages"} {
		if err := cs.Send(message(s)); err != nil {
			break // Recv tells why
		}
	}
	cs.CloseSend()
	for {
		m, err := cs.Recv()
		if err != nil {
			fmt.Println(err, cs.Status().Code())
			break
		}
		fmt.Printf("%s\n", m.Data)
		m.Free()
	}
	// Output:
	// one call, <nil>
	// many
	// messages
	// EOF OK
}
