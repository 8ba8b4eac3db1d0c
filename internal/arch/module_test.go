package arch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// required has to be required by the root module directly. Beside it only
// golang.org/x may be.
var required = []string{"google.golang.org/grpc", "google.golang.org/protobuf"}

// A modFile is what `go mod edit -json` prints.
type modFile struct {
	Module  struct{ Path string }
	Require []struct {
		Path     string
		Indirect bool
	}
	Replace, Exclude []any
}

func modFaults(mod modFile) (faults []string) {
	if mod.Module.Path != module {
		faults = append(faults, fmt.Sprintf("go.mod is of module %s, want %s", mod.Module.Path, module))
	}
	missing := slices.Clone(required)
	for _, r := range mod.Require {
		switch i := slices.Index(missing, r.Path); {
		case r.Indirect:
		case i >= 0:
			missing = slices.Delete(missing, i, i+1)
		case !strings.HasPrefix(r.Path, "golang.org/x/"):
			faults = append(faults, fmt.Sprintf("go.mod requires %s: the root module requires grpc, protobuf and golang.org/x alone; what needs more is a module of its own in go.work", r.Path))
		}
	}
	for _, path := range missing {
		faults = append(faults, fmt.Sprintf("go.mod does not require %s", path))
	}
	if len(mod.Replace)+len(mod.Exclude) > 0 {
		faults = append(faults, "go.mod replaces or excludes modules, which its importers would not")
	}
	return faults
}

func TestModule(t *testing.T) {
	var mod modFile
	if err := json.Unmarshal(goCommand(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	for _, fault := range modFaults(mod) {
		t.Error(fault)
	}
}

func TestModuleBites(t *testing.T) {
	const good = `{"Path": "google.golang.org/grpc"}, {"Path": "google.golang.org/protobuf"}, {"Path": "golang.org/x/net"}, {"Path": "example.com/x", "Indirect": true}`
	for _, tt := range []struct{ name, json, fault string }{
		{"as it should be", `{"Module": {"Path": "` + module + `"}, "Require": [` + good + `]}`, ""},
		{"another module", `{"Module": {"Path": "example.com/y"}, "Require": [` + good + `]}`, "want " + module},
		{"one more", `{"Module": {"Path": "` + module + `"}, "Require": [` + good + `, {"Path": "example.com/y"}]}`, "requires example.com/y"},
		{"one less", `{"Module": {"Path": "` + module + `"}, "Require": [{"Path": "google.golang.org/grpc"}]}`, "does not require google.golang.org/protobuf"},
		{"replaced", `{"Module": {"Path": "` + module + `"}, "Require": [` + good + `], "Replace": [{}]}`, "replaces"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mod modFile
			if err := json.Unmarshal([]byte(tt.json), &mod); err != nil {
				t.Fatal(err)
			}
			bites(t, modFaults(mod), tt.fault)
		})
	}
}

// unreachable are packages that the code of floors 0 to 2 must not depend on,
// and of floor 3 the first.
var unreachable = []string{"google.golang.org/grpc", "net/http", "google.golang.org/grpc/internal/transport"}

// A graph has the imports of each package, by import path.
type graph map[string][]string

// chain gives the shortest way of imports from one package to another, or nil.
func (g graph) chain(from, to string) []string {
	came := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		if queue[0] == to {
			var chain []string
			for at := to; at != ""; at = came[at] {
				chain = append(chain, at)
			}
			slices.Reverse(chain)
			return chain
		}
		for _, next := range g[queue[0]] {
			if _, ok := came[next]; !ok {
				came[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}
	return nil
}

func reached(g graph) (faults []string) {
	for path := range g {
		name, ok := within(path)
		floor, placed := floors[name]
		if !ok || !placed || floor == testFloor || floor >= callFloor {
			continue
		}
		banned := unreachable
		if floor == callFloor-1 {
			banned = banned[:1]
		}
		for _, to := range banned {
			if chain := g.chain(path, to); chain != nil {
				faults = append(faults, fmt.Sprintf("%s of floor %d depends on %s: %s", name, floor, to, strings.Join(chain, " -> ")))
			}
		}
	}
	return faults
}

func TestDependencies(t *testing.T) {
	g := make(graph)
	decoder := json.NewDecoder(bytes.NewReader(goCommand(t, "list", "-e", "-deps", "-json=ImportPath,Imports", "./...")))
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		g[p.ImportPath] = p.Imports
	}
	// The tests' own packages show that the graph is whole.
	if g.chain(module+"/internal/h2peer", "net/http") == nil {
		t.Fatalf("a graph of %d packages in which x/net/http2 does not import net/http", len(g))
	}
	for _, fault := range reached(g) {
		t.Error(fault)
	}
}

func TestDependenciesBite(t *testing.T) {
	for _, tt := range []struct {
		name  string
		graph graph
		fault string
	}{
		{"clean", graph{module + "/transport": {"net"}}, ""},
		{"direct", graph{module + "/transport": {"net/http"}}, "transport of floor 2 depends on net/http: "},
		{"by a detour", graph{module + "/internal/flow": {"a", "b"}, "b": {"c", "a"}, "c": {"net/http"}}, "weir/internal/flow -> b -> c -> net/http"},
		{"grpc below the root", graph{module + "/internal/channel": {"x"}, "x": {"google.golang.org/grpc"}}, "internal/channel of floor 3 depends on google.golang.org/grpc: "},
		{"net/http for a proxy", graph{module + "/internal/channel": {"net/http"}}, ""},
		{"grpc in the root", graph{module: {"google.golang.org/grpc"}}, ""},
		{"in tests", graph{module + "/internal/h2peer": {"net/http"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) { bites(t, reached(tt.graph), tt.fault) })
	}
}

// goCommand runs the go command over the root module alone.
func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}
