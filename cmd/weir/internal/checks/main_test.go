package checks

import (
	"flag"
	"testing"

	"github.com/weir-rpc/weir/internal/leak"
)

func TestMain(m *testing.M) {
	// Tests that wait beside each other need no processor of their own.
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	leak.Main(m)
}
