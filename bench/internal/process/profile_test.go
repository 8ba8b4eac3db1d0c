package process

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestProfile(t *testing.T) {
	for _, tt := range []struct {
		name       string
		contention bool
		files      []string
	}{
		{"cpu", false, []string{"x.client.cpu.pprof", "x.server.cpu.pprof"}},
		{"contention", true, []string{
			"x.client.block.pprof", "x.client.cpu.pprof", "x.client.mutex.pprof",
			"x.server.block.pprof", "x.server.cpu.pprof", "x.server.mutex.pprof",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pair, err := Start(t.Context(), programs(t), baseline(t), small())
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := pair.Profile(filepath.Join(dir, "x"), tt.contention); err != nil {
				t.Fatal(err)
			}
			if err := pair.Profile(filepath.Join(dir, "y"), false); err == nil || !strings.Contains(err.Error(), "expected the end") {
				t.Errorf("a second profile at the same time: error %v", err)
			}
			if _, err := pair.Run(5 * time.Millisecond); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second does nothing
				if err := pair.Profiled(); err != nil {
					t.Fatal(err)
				}
			}
			if err := pair.Stop(); err != nil {
				t.Error(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			var files []string
			for _, e := range entries {
				files = append(files, e.Name())
				if info, err := e.Info(); err != nil || info.Size() == 0 {
					t.Errorf("%s is empty, or %v", e.Name(), err)
				}
			}
			if !slices.Equal(files, tt.files) {
				t.Errorf("files %q, want %q", files, tt.files)
			}
		})
	}
}

func TestProfileThatCannotBeWritten(t *testing.T) {
	var p profiler
	if err := p.start(profile{Prefix: filepath.Join(t.TempDir(), "no", "x")}); err == nil {
		t.Error("a profile in a directory that does not exist begins")
	}
	if err := p.end(); err != nil {
		t.Errorf("the end of no profile: %v", err)
	}
}
