package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestRunExitStatus(t *testing.T) {
	for _, tt := range []struct {
		name, patch string
		args        []string
		code        int
		output      string
	}{
		{"all are red", header + onePatch, nil, 0, "1 patches, 1 turn their test red, 0 do not"},
		{"one is green", header + strings.Replace(onePatch, "+ 1 }", "+ 0 }", 1), nil, 1, "== A41: GREEN"},
		{"red without it", strings.Replace(header, "^TestAdd$", "Test", 1) + onePatch, []string{"-failing"}, 1, "without any patch"},
		{"verbose", header + onePatch, []string{"-v"}, 0, "a wrong sum"},
		{"no patch", header + onePatch, []string{"-run=A42"}, 2, ""},
		{"bad flag", header + onePatch, []string{"-strange"}, 2, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := sampleModule(t)
			if len(tt.args) == 1 && tt.args[0] == "-failing" {
				tt.args = nil
				write(t, filepath.Join(dir, "sum/bad_test.go"), "package sum\n\nimport \"testing\"\n\nfunc TestBad(t *testing.T) { t.Error(\"bad\") }\n")
			}
			if err := os.MkdirAll(filepath.Join(dir, "patches"), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "patches/A41.patch"), tt.patch)
			var out strings.Builder
			code, err := run(t.Context(), append(tt.args, "-root", dir, "-dir", "patches"), &out)
			if code != tt.code || (err != nil) != (tt.code == 2) {
				t.Errorf("exit status %d, error %v, want %d\n%s", code, err, tt.code, out.String())
			}
			if !strings.Contains(out.String(), tt.output) {
				t.Errorf("no %q in\n%s", tt.output, out.String())
			}
		})
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEach_CallsAllOnce(t *testing.T) {
	var mu sync.Mutex
	calls := make(map[int]int)
	each(3, 10, func(i int) {
		mu.Lock()
		calls[i]++
		mu.Unlock()
	})
	for i := range 10 {
		if calls[i] != 1 {
			t.Errorf("%d was called %d times", i, calls[i])
		}
	}
}
