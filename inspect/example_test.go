package inspect_test

import (
	"fmt"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inspect"
	"google.golang.org/grpc/credentials/insecure"
)

func ExampleRegistry() {
	c, err := weir.NewClient("dns:example.test:443", weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	defer c.Close()
	for _, c := range inspect.Default.Clients(inspect.Streams) {
		fmt.Println(c.Target, c.State, c.Calls.Started, len(c.Connections))
	}
	// Output: dns:example.test:443 IDLE 0 0
}
