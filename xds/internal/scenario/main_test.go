package scenario

import (
	"flag"
	"testing"

	"github.com/weir-rpc/weir/internal/leak"
	"github.com/weir-rpc/weir/internal/rolling"
	"github.com/weir-rpc/weir/xds/internal/fleet"
)

func TestMain(m *testing.M) {
	rolling.Main(fleet.Serve)
	// Tests that wait beside each other need no processor of their own.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	leak.Main(m)
}
