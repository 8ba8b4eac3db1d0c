package process

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/weir-rpc/weir/internal/leak"
)

// misbehave names what the process that a test starts does in place of Main.
const misbehave = "WEIRBENCH_TEST_MISBEHAVE"

// TestMain is also the main of the processes that tests start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Argument {
		switch os.Getenv(misbehave) {
		case "fail":
			fmt.Fprintln(os.Stderr, "no water")
			os.Exit(3)
		case "babble":
			fmt.Println("hello")
		}
		os.Exit(Main(os.Stdin, os.Stdout, os.Stderr))
	}
	// A process with the race detector waits for a second before it ends.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	// Most of what runs beside others is leaving alone.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	leak.Main(m)
}

func programs(t *testing.T) Programs {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Programs{Own: name}
}
