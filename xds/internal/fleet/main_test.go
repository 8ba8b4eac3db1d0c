package fleet

import (
	"testing"

	"github.com/weir-rpc/weir/internal/leak"
	"github.com/weir-rpc/weir/internal/rolling"
)

func TestMain(m *testing.M) {
	rolling.Main(Serve)
	leak.Main(m)
}
