//go:build unix

package rolling

import (
	"testing"

	"github.com/weir-rpc/weir/internal/leak"
)

func TestMain(m *testing.M) {
	Main(serve)
	leak.Main(m)
}
