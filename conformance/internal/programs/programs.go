// Package programs builds the programs that the suites run.
package programs

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

const module = "github.com/weir-rpc/weir/conformance"

// The programs that may be built. Those of other projects are pinned in
// tools/go.mod.
const (
	Client        = module + "/client"
	Server        = module + "/server"
	InteropServer = "github.com/weir-rpc/weir/interop/server"
	Runner        = "connectrpc.com/conformance/cmd/connectconformance"
	H2spec        = "github.com/summerwind/h2spec/cmd/h2spec"
)

// Directory gives the directory of the module conformance.
func Directory(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("go list -m %s: %w (run it inside the repository)", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Build builds a program into the directory to and gives its file. root is
// what Directory gives.
func Build(ctx context.Context, root, program, to string, flags ...string) (string, error) {
	dir, env := root, os.Environ()
	if !strings.HasPrefix(program, "github.com/weir-rpc/") {
		// A module that is not part of the workspace.
		dir, env = filepath.Join(root, "tools"), append(env, "GOWORK=off")
	}
	file := filepath.Join(to, strings.ReplaceAll(strings.TrimPrefix(program, path.Dir(module)+"/"), "/", "-"))
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", file}, flags...), program)...)
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", program, err, out)
	}
	return file, nil
}
