package simnet

import (
	"os"
	"path/filepath"
	"testing"
)

// SocketPath is where a Unix socket of a test may be, for tests that need one of
// the system's. A test's own directory has the test's name in its path, of which
// a socket's may have 104 octets.
func SocketPath(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "weir") //nolint:usetesting // see above
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}
