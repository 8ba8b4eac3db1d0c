package arch

import (
	"fmt"
	"go/ast"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// invariants has the tables of what the hot path relies on, each row with the
// tests that prove it, and others.
const invariants = "docs/hot-path.md"

// invariantsHead is how their heads begin.
const invariantsHead = "| | what holds |"

// leastInvariants is how many rows it has at least: twelve, and seven of chains.
const leastInvariants = 19

var namedTest = regexp.MustCompile("\\[`((?:Test|Fuzz)[A-Za-z0-9_]+)`\\]\\(([^)]+)\\)")

// unproven gives the rows of the table without a test, and the tests that it
// names and that are not where it says. rows is how many it has.
func unproven(fsys fs.FS, t *tree) (faults []string, rows int) {
	text, err := fs.ReadFile(fsys, invariants)
	if err != nil {
		return []string{err.Error()}, 0
	}
	has, inTable := t.tests(), false
	for n, line := range strings.Split(string(text), "\n") {
		inTable = strings.HasPrefix(line, invariantsHead) || inTable && strings.HasPrefix(line, "|")
		cells := strings.Split(line, "|")
		if !inTable || len(cells) < 5 || strings.TrimSpace(cells[1]) == "" || strings.HasPrefix(cells[1], "--") {
			continue
		}
		rows++
		tests := namedTest.FindAllStringSubmatch(cells[3], -1)
		if len(tests) == 0 {
			faults = append(faults, fmt.Sprintf("%s:%d names no test", invariants, n+1))
		}
		for _, m := range tests {
			if file := path.Join(path.Dir(invariants), m[2]); !slices.Contains(has[m[1]], file) {
				faults = append(faults, fmt.Sprintf("%s:%d names %s, which %s has not: name the test that proves the invariant now", invariants, n+1, m[1], file))
			}
		}
	}
	return faults, rows
}

// tests gives, for the name of each test and fuzz target, the files that have one.
func (t *tree) tests() map[string][]string {
	files := make(map[string][]string)
	for _, s := range t.files {
		for _, decl := range s.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && s.test && fn.Recv == nil {
				files[fn.Name.Name] = append(files[fn.Name.Name], s.name)
			}
		}
	}
	return files
}

// Each invariant of the hot path names tests, and they are where it says.
func TestInvariants_NameTheirTests(t *testing.T) {
	fsys := os.DirFS(root)
	tree, err := load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	faults, rows := unproven(fsys, tree)
	for _, fault := range faults {
		t.Error(fault)
	}
	if rows < leastInvariants {
		t.Errorf("%s has %d rows, want %d at least", invariants, rows, leastInvariants)
	}
}

func TestInvariants_MissingTest_IsFound(t *testing.T) {
	const head = "| | what holds | tests | broken |\n|---|---|---|---|\n"
	for name, tt := range map[string]struct {
		row, fault string
	}{
		"there":        {"| 1 | this | [`TestX`](../transport/x_test.go) | that |", ""},
		"not there":    {"| 1 | this | [`TestY`](../transport/x_test.go) | that |", "docs/hot-path.md:3 names TestY"},
		"a method":     {"| 1 | this | [`TestM`](../transport/x_test.go) | that |", "names TestM"},
		"another file": {"| 1 | this | [`TestX`](../transport/y_test.go) | that |", "transport/y_test.go has not"},
		"one of two":   {"| 1 | this | [`TestX`](../transport/x_test.go), [`TestY`](../transport/x_test.go) | that |", "names TestY"},
		"no test":      {"| 1 | this | [`TestX`] | that |", "names no test"},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{
				invariants:            {Data: []byte(head + tt.row + "\n\n| other | table | without | tests |\n")},
				"transport/x_test.go": {Data: []byte("package x\nfunc TestX() {}\nfunc (t T) TestM() {}")},
			}
			tree, err := load(fsys)
			if err != nil {
				t.Fatal(err)
			}
			faults, rows := unproven(fsys, tree)
			bites(t, faults, tt.fault)
			if rows != 1 {
				t.Errorf("%d rows", rows)
			}
		})
	}
}
