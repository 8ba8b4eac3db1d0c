package leak

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/buffer"
)

// childEnv names what the test binary leaks when it runs as a child.
const childEnv = "WEIR_LEAK_CHILD"

func TestMain(m *testing.M) {
	if leak := os.Getenv(childEnv); leak != "" && leak != "nothing" {
		patience = 50 * time.Millisecond
	}
	Main(m)
}

type suite func() int

func (s suite) Run() int { return s() }

func TestRun(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	tests := []struct {
		name   string
		suite  suite
		code   int
		stderr []string
	}{
		{"nothing is left", func() int { return 0 }, 0, nil},
		{"the tests' own verdict goes first", func() int { go leakUntil(stop); return 3 }, 3, nil},
		{"what ends soon is no leak", func() int {
			// The second goroutine ends when the first tells it to: neither has
			// to be over when Run returns.
			end := make(chan struct{})
			go leakUntil(end)
			go func() { close(end) }()
			return 0
		}, 0, nil},
		{"a goroutine", func() int { go leakUntil(stop); stop <- struct{}{}; return 0 }, 1,
			[]string{"leak.leakUntil", "main_test.go", "1 goroutines and 0 buffers"}},
		{"a buffer", func() int { keepBuffer(); return 0 }, 1,
			[]string{"leak.keepBuffer", "main_test.go", "0 goroutines and 1 buffers"}},
		{"a buffer that comes back late", func() int {
			b := buffer.Get(1000)
			time.AfterFunc(10*time.Millisecond, func() { buffer.Put(b) })
			return 0
		}, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.code == 1 {
				impatient(t)
			}
			var stderr bytes.Buffer
			if code := run(tt.suite, &stderr); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if tt.stderr == nil && stderr.Len() > 0 {
				t.Errorf("complaint: %s", &stderr)
			}
			for _, want := range tt.stderr {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("stderr does not say %q:\n%s", want, &stderr)
				}
			}
		})
	}
}

// leakUntil ends when stop is closed. Who has sent to stop knows that it runs: the
// stack of a goroutine that waits for a processor does not name it.
//
//go:noinline
func leakUntil(stop chan struct{}) {
	for range stop {
	}
}

//go:noinline
func keepBuffer() { buffer.Get(1000) }

// TestNoWatchWhileMeasuring: a stack for each buffer is no part of what a
// benchmark measures.
func TestNoWatchWhileMeasuring(t *testing.T) {
	for _, name := range []string{"test.bench", "test.fuzz"} {
		t.Run(name, func(t *testing.T) {
			old := flag.Lookup(name).Value.String()
			flag.Set(name, "X")
			defer flag.Set(name, old)
			outstanding := watchBuffers()
			b := buffer.Get(1000)
			defer buffer.Put(b) // the watch over the package's tests may go on
			if left := outstanding(); left != nil {
				t.Errorf("watched: %q", left)
			}
		})
	}
}

// TestMainOfChild runs this test binary again with one test that leaks, and
// looks at the exit code.
func TestMainOfChild(t *testing.T) {
	for _, tt := range []struct {
		leak string
		code int
		says string
	}{
		{"nothing", 0, "PASS"},
		{"goroutine", 1, "leak.leakUntil"},
		{"buffer", 1, "leak.keepBuffer"},
	} {
		t.Run(tt.leak, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
			cmd.Env = append(os.Environ(), childEnv+"="+tt.leak)
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(string(out), tt.says) {
				t.Errorf("output does not say %q:\n%s", tt.says, out)
			}
		})
	}
}

func TestChild(t *testing.T) {
	switch os.Getenv(childEnv) {
	case "":
		t.Skip("runs as a child of TestMainOfChild only")
	case "goroutine":
		stop := make(chan struct{})
		go leakUntil(stop)
		stop <- struct{}{}
	case "buffer":
		keepBuffer()
	}
}
