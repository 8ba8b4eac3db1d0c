//go:build linux

package engines

import (
	"flag"
	"testing"

	"github.com/weir-rpc/weir/internal/leak"
	"github.com/weir-rpc/weir/internal/rolling"
)

func TestMain(m *testing.M) {
	rolling.Main(serve)
	// The tests wait, for the most part, and each has servers of its own.
	flag.Parse()
	if err := flag.Set("test.parallel", parallel); err != nil {
		panic(err)
	}
	leak.Main(m)
}
