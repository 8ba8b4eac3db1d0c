package servehttp_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/servehttp"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// gRPC and REST on one port, without TLS.
func ExampleHandler() {
	srv := weir.NewServer()
	healthpb.RegisterHealthServer(srv, health.NewServer())
	rest := http.NewServeMux()
	rest.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	rpc := servehttp.Handler(srv)
	front := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if servehttp.IsGRPC(r) {
				rpc.ServeHTTP(w, r)
				return
			}
			rest.ServeHTTP(w, r)
		}),
		Protocols: new(http.Protocols),
	}
	front.Protocols.SetHTTP1(true)
	front.Protocols.SetUnencryptedHTTP2(true) // gRPC needs it where there is no TLS
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = front.Serve(lis) }()

	client, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := healthpb.NewHealthClient(client).Check(context.Background(), new(healthpb.HealthCheckRequest))
	fmt.Println(answer.GetStatus(), err)
	resp, err := http.Get("http://" + lis.Addr().String() + "/hello")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	fmt.Println(string(text), err)

	_ = client.Close()
	srv.GracefulStop() // the calls, and then the connections
	_ = front.Shutdown(context.Background())
	http.DefaultClient.CloseIdleConnections()
	// Output:
	// SERVING <nil>
	// hello <nil>
}
