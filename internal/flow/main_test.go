package flow

import (
	"testing"

	"github.com/weir-rpc/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// wantPanic runs f, which has to panic with a text that says whose fault it is.
func wantPanic(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		text, ok := recover().(string)
		if !ok || len(text) < 4 || text[:4] != "BUG:" {
			t.Errorf("panics with %q, want BUG: …", text)
		}
	}()
	f()
}
