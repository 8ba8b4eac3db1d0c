package arch

import (
	"fmt"
	"go/ast"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// A migration is a row of a table in docs/migrating.md.
type migration struct {
	line          int
	kind          string // of the table: the title of its first column
	names         []string
	deprecated    []bool // as names
	equal, remark string // the second cell and the third
}

var (
	codeSpan   = regexp.MustCompile("`([^`]+)`( d)?")
	tableTitle = regexp.MustCompile(`^\| (grpc-go|interface|variable|option) \|`)
)

// migrations reads the tables.
func migrations(text string) (rows []migration) {
	kind := ""
	for n, line := range strings.Split(text, "\n") {
		if m := tableTitle.FindStringSubmatch(line); m != nil {
			kind = m[1]
			continue
		}
		if !strings.HasPrefix(line, "|") {
			kind = ""
		}
		if kind == "" || strings.HasPrefix(line, "|--") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		r := migration{line: n + 1, kind: kind}
		for _, m := range codeSpan.FindAllStringSubmatch(cells[0], -1) {
			r.names, r.deprecated = append(r.names, m[1]), append(r.deprecated, m[2] != "")
		}
		if len(cells) > 1 {
			r.equal = strings.TrimSpace(cells[1])
		}
		if len(cells) > 2 {
			r.remark = strings.TrimSpace(cells[2])
		}
		rows = append(rows, r)
	}
	return rows
}

// A comparison holds the tables against grpc-go and weir.
type comparison struct {
	api       *grpcAPI
	exports   map[string]bool
	known     map[string]bool // of grpc-go's names
	told      map[string]bool // of weir's
	variables []string
	faults    []string
}

func (c *comparison) fault(line int, format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf("docs/migrating.md:%d: ", line)+fmt.Sprintf(format, args...))
}

// migrated: docs/migrating.md knows all of grpc-go and all options of weir, and
// what it says of weir is so.
func migrated(api *grpcAPI, text string, t *tree) (faults []string) {
	exports, options := exported(t)
	c := &comparison{api: api, exports: exports, known: make(map[string]bool), told: make(map[string]bool)}
	for _, r := range migrations(text) {
		for i, name := range r.names {
			c.name(r, name, r.deprecated[i])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(api.funcs)) {
		if !c.known[name] {
			c.fault(1, "%s is in no table", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(api.interfaces)) {
		if !c.known[name] {
			c.fault(1, "the interface %s is in no table", name)
		}
	}
	read := callOptionsRead(t)
	for _, name := range api.callOptions {
		if !read[name] {
			c.fault(1, "no file of the root package reads %s", name)
		}
	}
	for _, name := range api.env {
		if !slices.ContainsFunc(c.variables, func(pattern string) bool {
			prefix, all := strings.CutSuffix(pattern, "*")
			return name == pattern || all && strings.HasPrefix(name, prefix)
		}) {
			c.fault(1, "the variable %s is in no table", name)
		}
	}
	for _, name := range options {
		if !c.told[name] {
			c.fault(1, "%s is in no table: if grpc-go has no equal it belongs to \"Options that grpc-go has not\"", name)
		}
	}
	return c.faults
}

// name checks one name of a row.
func (c *comparison) name(r migration, name string, deprecated bool) {
	switch {
	case r.kind == "variable":
		c.variables = append(c.variables, name)
		return
	case r.kind == "option":
		c.tell(r, name, name)
		return
	case c.known[name]:
		c.fault(r.line, "%s is in two rows", name)
	case r.kind == "interface":
		want, ok := c.api.interfaces[name]
		if !ok {
			c.fault(r.line, "grpc-go has no interface %s", name)
		} else if got := spans(r.equal); !slices.Equal(got, want) {
			c.fault(r.line, "%s has the methods %q, the table says %q: look whether weir has to do something about it", name, want, got)
		}
	default:
		is, ok := c.api.funcs[name]
		switch {
		case !ok:
			c.fault(r.line, "grpc-go has no %s", name)
		case is != deprecated:
			c.fault(r.line, "%s: deprecated in grpc-go is %v, the table says %v", name, is, deprecated)
		}
		c.equal(r, name)
	}
	c.known[name] = true
}

// equal checks what the second cell says.
func (c *comparison) equal(r migration, name string) {
	switch names := spans(r.equal); {
	case r.equal == "same":
		short := name[strings.IndexByte(name, '.')+1:]
		c.tell(r, name, "weir."+strings.Replace(short, "ClientConn.", "Client.", 1))
	case r.equal == "grpc's":
	case r.equal == "none":
		if r.remark == "" {
			c.fault(r.line, "for %s the table says none, and not what to do", name)
		}
	case len(names) == 0:
		c.fault(r.line, "for %s the table says %q, it can be same, grpc's, none, or names of weir's", name, r.equal)
	default:
		for _, n := range names {
			if pkg, _, _ := strings.Cut(n, "."); pkg == "weir" || c.exports[pkg] {
				c.tell(r, name, n)
			}
		}
	}
}

// tell notes that a row names something of weir's, which has to be there.
func (c *comparison) tell(r migration, name, full string) {
	c.told[full] = true
	if !c.exports[full] {
		c.fault(r.line, "for %s the table says %s, which is not exported", name, full)
	}
}

func spans(cell string) (names []string) {
	for _, m := range codeSpan.FindAllStringSubmatch(cell, -1) {
		names = append(names, m[1])
	}
	return names
}

// exported gives the names of the root module's public packages and of what
// they export, as importers write them: weir.Client.Close. Options are those that
// make a DialOption or ServerOption.
func exported(t *tree) (names map[string]bool, options []string) {
	names = make(map[string]bool)
	for _, p := range t.pkgs {
		if strings.Contains(p.name, "/") {
			continue
		}
		pkg := p.name
		if pkg == "." {
			pkg = "weir"
		}
		names[pkg] = true
		for _, s := range p.code() {
			for _, d := range s.ast.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					if d.Recv != nil {
						names[pkg+"."+receiver(d)+"."+d.Name.Name] = d.Name.IsExported()
						continue
					}
					names[pkg+"."+d.Name.Name] = d.Name.IsExported()
					if d.Name.IsExported() && makesOption(d) {
						options = append(options, pkg+"."+d.Name.Name)
					}
				case *ast.GenDecl:
					for _, spec := range d.Specs {
						if spec, ok := spec.(*ast.TypeSpec); ok {
							names[pkg+"."+spec.Name.Name] = spec.Name.IsExported()
						}
					}
				}
			}
		}
	}
	return names, options
}

// makesOption reports whether a function gives a DialOption or ServerOption, and
// nothing else.
func makesOption(d *ast.FuncDecl) bool {
	if d.Type.Results == nil || len(d.Type.Results.List) != 1 {
		return false
	}
	t := d.Type.Results.List[0].Type
	if sel, ok := t.(*ast.SelectorExpr); ok {
		t = sel.Sel
	}
	id, ok := t.(*ast.Ident)
	return ok && (id.Name == "DialOption" || id.Name == "ServerOption")
}

// callOptionsRead gives the options of grpc-go's that the root package names.
func callOptionsRead(t *tree) map[string]bool {
	read := make(map[string]bool)
	for _, p := range t.pkgs {
		if p.name != "." {
			continue
		}
		for _, s := range p.code() {
			if s.local("google.golang.org/grpc", "grpc") == "" {
				continue
			}
			ast.Inspect(s.ast, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := sel.X.(*ast.Ident); ok {
						read[x.Name+"."+sel.Sel.Name] = true
					}
				}
				return true
			})
		}
	}
	return read
}

func TestMigrating(t *testing.T) {
	api, err := loadAPI(pinnedGRPC(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(api.funcs) < 100 || len(api.callOptions) < 10 || len(api.interfaces) < 20 || len(api.env) < 20 {
		t.Fatalf("%d functions, %d call options, %d interfaces, %d variables in all of grpc-go: the walk went wrong",
			len(api.funcs), len(api.callOptions), len(api.interfaces), len(api.env))
	}
	tree, err := load(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	text, err := fs.ReadFile(os.DirFS(root), "docs/migrating.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range migrated(api, string(text), tree) {
		t.Error(fault)
	}
}

// TestMigratingBites shows the rule what breaks it.
func TestMigratingBites(t *testing.T) {
	const head = "| grpc-go | weir | what to know |\n|---|---|---|\n"
	for _, tt := range []struct{ name, grpc, table, fault string }{
		{"complete", "func WithA() DialOption { return nil }", head + "| `grpc.WithA` | same | |", ""},
		{"an option that is new", "func WithA() {}\nfunc WithNew() {}", head + "| `grpc.WithA` | same | |", "grpc.WithNew is in no table"},
		{"an option that is gone", "", head + "| `grpc.WithA` | same | |", "grpc-go has no grpc.WithA"},
		{"an option that weir lacks", "func WithB() {}", head + "| `grpc.WithB` | same | |", "says weir.WithB, which is not exported"},
		{"an equal that weir lacks", "func WithB() {}", head + "| `grpc.WithB` | `weir.Client.Lost` | |", "says weir.Client.Lost, which is not exported"},
		{"a method that weir has", "type ClientConn struct{}\nfunc (*ClientConn) Close() {}", head + "| `grpc.ClientConn.Close` | same | |", ""},
		{"a method that is new", "type ClientConn struct{}\nfunc (*ClientConn) Open() {}", head, "grpc.ClientConn.Open is in no table"},
		{"newly deprecated", "// WithA.\n//\n// Deprecated: no.\nfunc WithA() {}", head + "| `grpc.WithA` | same | |", "deprecated in grpc-go is true"},
		{"none without a word", "func WithB() {}", head + "| `grpc.WithB` | none | |", "not what to do"},
		{"a call option", "type CCallOption struct{}\nfunc (CCallOption) before() {}", head, "no file of the root package reads grpc.CCallOption"},
		{"a call option that is read", "type ACallOption struct{}\nfunc (ACallOption) before() {}", head, ""},
		{"an interface that is new", "type Watcher interface { Watch() }", head, "the interface grpc.Watcher is in no table"},
		{"a method of an interface that is new", "type Watcher interface { Watch(); Stop() }", "| interface | methods | weir |\n|---|---|---|\n| `grpc.Watcher` | `Watch` | called |", `has the methods ["Watch" "Stop"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api, err := loadAPI(fstest.MapFS{"a.go": &fstest.MapFile{Data: []byte("package grpc\n" + tt.grpc)}})
			if err != nil {
				t.Fatal(err)
			}
			tree, err := load(fstest.MapFS{"a.go": &fstest.MapFile{Data: []byte(
				"package weir\nimport \"google.golang.org/grpc\"\nvar _ grpc.ACallOption\nfunc WithA() {}\ntype Client struct{}\nfunc (*Client) Close() {}")}})
			if err != nil {
				t.Fatal(err)
			}
			bites(t, migrated(api, tt.table, tree), tt.fault)
		})
	}
	t.Run("an option of weir's that is new", func(t *testing.T) {
		tree, err := load(fstest.MapFS{"a.go": &fstest.MapFile{Data: []byte(
			"package weir\nfunc WithA() DialOption { return nil }\nfunc WithB() DialOption { return nil }\nfunc (x T) WithC() DialOption { return nil }")}})
		if err != nil {
			t.Fatal(err)
		}
		const table = "| option | for what |\n|---|---|\n| `weir.WithA` | that |"
		bites(t, migrated(new(grpcAPI), table, tree), "weir.WithB is in no table")
		bites(t, migrated(new(grpcAPI), table+"\n| `weir.WithB`, `weir.WithLost` | that |", tree), "says weir.WithLost, which is not exported")
	})
	t.Run("a variable that is new", func(t *testing.T) {
		api := &grpcAPI{env: []string{"GRPC_A_B", "GRPC_NEW"}}
		bites(t, migrated(api, "| variable | in weir |\n|---|---|\n| `GRPC_A_*` | no |", new(tree)), "the variable GRPC_NEW is in no table")
	})
}
