package load

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/leak"

	"github.com/weir-rpc/weir/cmd/weir/internal/peers"
)

// TestMain is also the main of the processes that tests start.
func TestMain(m *testing.M) {
	// A process with the race detector waits for a second before it ends.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	if len(os.Args) < 2 {
		leak.Main(m)
	}
	var err error
	switch os.Args[1] {
	case ServerCommand:
		err = Serve(context.Background(), peers.GRPC(), os.Stdin, os.Stdout)
	case ClientCommand:
		outstanding, convErr := strconv.Atoi(os.Args[7])
		if convErr != nil {
			panic(convErr)
		}
		err = Call(context.Background(), peers.GRPC(), os.Args[5], outstanding, os.Stdin, os.Stdout)
	case "fail":
		fmt.Fprintln(os.Stderr, "no water")
		os.Exit(3)
	case "stay":
		for {
			<-time.After(time.Hour) // a process of which no goroutine can go on ends by itself
		}
	default:
		leak.Main(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func program(t *testing.T) string {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return name
}
