package programs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestBuild(t *testing.T) {
	root, err := Directory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "tools", "go.mod")); err != nil {
		t.Fatalf("%s is not the module's directory: %v", root, err)
	}
	to := t.TempDir()
	file, err := Build(t.Context(), root, H2spec, to)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), file, "--help").Output(); err != nil || !strings.Contains(string(out), "--strict") {
		t.Errorf("%s --help says %q, %v", file, out, err)
	}
	if _, err := Build(t.Context(), root, module+"/absent", to); err == nil || !strings.Contains(err.Error(), "go build "+module+"/absent: exit status 1\n") {
		t.Errorf("error %v for a program that is not there", err)
	}
}
