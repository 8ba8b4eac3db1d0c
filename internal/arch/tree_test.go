package arch

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/weir-rpc/weir"

// A tree is the Go source of the repository, whatever its build constraints.
type tree struct {
	files []*source // of all modules
	pkgs  []*pkg    // of the root module
}

// A pkg is a directory of the root module. The root package has the name ".".
type pkg struct {
	name  string
	files []*source
}

type source struct {
	name      string // slash-separated, from the root
	test      bool
	generated bool
	lines     int
	fset      *token.FileSet
	ast       *ast.File
}

// load reads the tree. It leaves out testdata, bin and what starts with a dot
// or an underscore, as the go command does.
func load(fsys fs.FS) (*tree, error) {
	t := new(tree)
	byDir := make(map[string]*pkg)
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			if name != "." && (base[0] == '.' || base[0] == '_' || base == "testdata" || name == "bin") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		src, err := parse(fsys, name)
		if err != nil {
			return err
		}
		t.files = append(t.files, src)
		dir := path.Dir(name)
		if nested(fsys, dir) {
			return nil
		}
		if byDir[dir] == nil {
			byDir[dir] = &pkg{name: dir}
			t.pkgs = append(t.pkgs, byDir[dir])
		}
		byDir[dir].files = append(byDir[dir].files, src)
		return nil
	})
	return t, err
}

// nested says whether dir belongs to a module other than the root.
func nested(fsys fs.FS, dir string) bool {
	for ; dir != "."; dir = path.Dir(dir) {
		if _, err := fs.Stat(fsys, path.Join(dir, "go.mod")); err == nil {
			return true
		}
	}
	return false
}

func parse(fsys fs.FS, name string) (*source, error) {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &source{
		name:      name,
		test:      strings.HasSuffix(name, "_test.go"),
		generated: ast.IsGenerated(file),
		lines:     bytes.Count(text, []byte("\n")),
		fset:      fset,
		ast:       file,
	}, nil
}

// imports gives the paths that a file imports.
func (s *source) imports() []string {
	var paths []string
	for _, spec := range s.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

func (s *source) importsPath(p string) bool { return slices.Contains(s.imports(), p) }

// local gives the name by which a file knows an imported package, or "".
func (s *source) local(importPath, name string) string {
	for _, spec := range s.ast.Imports {
		if p, _ := strconv.Unquote(spec.Path.Value); p == importPath {
			if spec.Name != nil {
				return spec.Name.Name
			}
			return name
		}
	}
	return ""
}

// at gives the position of a node as file:line.
func (s *source) at(n ast.Node) string {
	return s.name + ":" + strconv.Itoa(s.fset.Position(n.Pos()).Line)
}

// uses gives the places where a file names pkg.symbol, for any of symbols.
func (s *source) uses(importPath, name string, symbols ...string) []ast.Node {
	local := s.local(importPath, name)
	if local == "" {
		return nil
	}
	var places []ast.Node
	ast.Inspect(s.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == local && slices.Contains(symbols, sel.Sel.Name) {
				places = append(places, sel)
			}
		}
		return true
	})
	return places
}

// code gives the files that are not tests.
func (p *pkg) code() []*source {
	var files []*source
	for _, s := range p.files {
		if !s.test {
			files = append(files, s)
		}
	}
	return files
}

func (p *pkg) tests() []*source {
	var files []*source
	for _, s := range p.files {
		if s.test {
			files = append(files, s)
		}
	}
	return files
}

// within gives the name of a package of the root module from its import path.
func within(importPath string) (name string, ok bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}
