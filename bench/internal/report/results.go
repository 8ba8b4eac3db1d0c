package report

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Results are all that a run of the benchmark measured, and where.
type Results struct {
	Began    time.Time     `json:"began"`
	Ended    time.Time     `json:"ended"`
	Duration time.Duration `json:"duration_ns"` // of a round
	Warmup   time.Duration `json:"warmup_ns"`
	Rounds   int           `json:"rounds"` // asked for; a short run may have fewer
	Machine  Machine       `json:"machine"`
	Modules  []Module      `json:"modules"`
	Cells    []*Cell       `json:"cells"`
}

// Machine is where it was measured. What is not known is left out.
type Machine struct {
	System     string  `json:"system"`
	Kernel     string  `json:"kernel,omitempty"`
	Processor  string  `json:"processor,omitempty"`
	Processors int     `json:"processors"` // that Go uses at most
	Go         string  `json:"go"`
	Load       float64 `json:"load"` // over the minute before the first round
}

// Module is one whose version changes figures.
type Module struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

// ThisMachine reads the present one.
func ThisMachine() Machine {
	m := Machine{
		System:     runtime.GOOS + "/" + runtime.GOARCH,
		Processors: runtime.GOMAXPROCS(0),
		Go:         runtime.Version(),
		Processor:  processor(),
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		// A load that cannot be read stays zero.
		_, _ = fmt.Sscan(string(text), &m.Load)
	}
	return m
}

// Busy says whether so much else ran that figures mean little.
func (m Machine) Busy() bool { return m.Load > float64(m.Processors)/4 }

func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

const weirPath = "github.com/weir-rpc/weir"

// measured are the modules that Modules tells about.
var measured = []string{
	weirPath, "google.golang.org/grpc", "google.golang.org/protobuf", "connectrpc.com/connect", "golang.org/x/net",
}

// Modules are the measured ones of this program. Weir's version is that of the
// checkout in the working directory.
func Modules(ctx context.Context) []Module {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	versions := make(map[string]string)
	for _, dep := range info.Deps {
		versions[dep.Path] = dep.Version
	}
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12").Output(); err == nil {
		versions[weirPath] = strings.TrimSpace(string(out))
	}
	var some []Module
	for _, path := range measured {
		if v := versions[path]; v != "" {
			some = append(some, Module{Path: path, Version: v})
		}
	}
	return some
}

// WriteFile writes the results as JSON.
func (r *Results) WriteFile(name string) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	encoder := json.NewEncoder(f)
	encoder.SetIndent("", " ")
	return encoder.Encode(r)
}
