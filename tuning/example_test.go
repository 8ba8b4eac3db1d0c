package tuning_test

import (
	"fmt"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/tuning"
	"google.golang.org/grpc/credentials/insecure"
)

// An ocean away, at 100 megabits a second: a million octets are on the way.
func ExampleOptimizeWindowSize() {
	conn, stream := tuning.OptimizeWindowSize(80*time.Millisecond, 100_000_000)
	fmt.Println(conn, stream)
	// Output: 2000000 2000000
}

func ExampleWithOptimizedWindows() {
	client, err := weir.NewClient("dns:///far-away.example:443",
		weir.WithTransportCredentials(insecure.NewCredentials()),
		tuning.WithOptimizedWindows(80*time.Millisecond, 100_000_000))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	fmt.Println(client.GetState())
	// Output: IDLE
}
