package load

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/weir-rpc/weir/cmd/weir/internal/demopb"
	"github.com/weir-rpc/weir/cmd/weir/internal/gauge"
	"github.com/weir-rpc/weir/cmd/weir/internal/peers"
)

// The processes of the load read a request for each line of their input and
// answer each with one line of output. They end when their input ends, so that
// none outlives the process that started it.

type serverHello struct {
	Address string `json:"address"`
}

type serverRequest struct{}

type serverReply struct {
	Used        Usage  `json:"used"`
	Connections int64  `json:"connections"`
	Error       string `json:"error,omitempty"`
}

type clientRequest struct {
	Window time.Duration `json:"window_ns"`
}

type clientReply struct {
	Window Window `json:"window"`
	Error  string `json:"error,omitempty"`
}

// Serve is the server's process. It says its address and then, when asked,
// what it has used.
func Serve(ctx context.Context, impl peers.Implementation, in io.Reader, out io.Writer) (err error) {
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	counted := &counting{Listener: lis}
	server := impl.NewServer()
	demopb.RegisterGaugeServer(server, gauge.New())
	served := make(chan error, 1)
	go func() { served <- server.Serve(counted) }()
	defer func() {
		server.Stop()
		if failed := <-served; !errors.Is(failed, grpc.ErrServerStopped) {
			err = errors.Join(err, failed)
		}
	}()
	replies := json.NewEncoder(out)
	if err := replies.Encode(serverHello{Address: lis.Addr().String()}); err != nil {
		return err
	}
	return answer(ctx, in, func(context.Context, serverRequest) error {
		used, err := Used()
		return replies.Encode(serverReply{
			Used:        used,
			Connections: counted.accepted.Load(),
			Error:       text(err),
		})
	})
}

// counting counts the connections and hands them on untouched.
type counting struct {
	net.Listener

	accepted atomic.Int64
}

func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.accepted.Add(1)
	}
	return conn, err
}

// Call is the client's process. It makes one connection to the target, and
// calls for as long as each request says.
func Call(ctx context.Context, impl peers.Implementation, target string, outstanding int, in io.Reader, out io.Writer) error {
	conn, err := impl.Dial(target)
	if err != nil {
		return err
	}
	defer conn.Close()
	c := newCaller(demopb.NewGaugeClient(conn), outstanding)
	replies := json.NewEncoder(out)
	return answer(ctx, in, func(ctx context.Context, req clientRequest) error {
		window, err := c.run(ctx, req.Window)
		return replies.Encode(clientReply{Window: window, Error: text(err)})
	})
}

// answer handles the requests until the input ends. The handler's context ends
// with the input.
func answer[Request any](ctx context.Context, in io.Reader, handle func(context.Context, Request) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	requests := make(chan Request)
	go func() {
		decoder := json.NewDecoder(in)
		for {
			var req Request
			if err := decoder.Decode(&req); err != nil {
				cancel(err)
				return
			}
			select {
			case requests <- req:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case req := <-requests:
			if err := handle(ctx, req); err != nil {
				return err
			}
		case <-ctx.Done():
			if err := context.Cause(ctx); !errors.Is(err, io.EOF) {
				return err
			}
			return nil
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
