package buffer_test

import (
	"testing"

	"github.com/weir-rpc/weir/internal/leak"
)

// In a package of its own, because leak watches the buffers of this one.
func TestMain(m *testing.M) { leak.Main(m) }
