package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

func TestScanFile(t *testing.T) {
	for _, tt := range []struct {
		name     string
		src      string
		claims   string
		problems string // part of the only problem, "" for none
	}{
		{"one row", "// Row A41: exactly full is legal.\nfunc TestFull(t *testing.T) {}", "[A41] TestFull exactly full is legal.", ""},
		{"several rows", "// Rows A41, B3: both.\nfunc FuzzBoth(f *testing.F) {}", "[A41 B3] FuzzBoth both.", ""},
		{"two claims", "// Row A1: one.\n// Row A2: two.\nfunc TestX(t *testing.T) {}", "[A1] TestX one.; [A2] TestX two.", ""},
		{"over two lines", "// Row A1: one\n// and a half.\n//\n// Prose.\nfunc TestX(t *testing.T) {}", "[A1] TestX one and a half.", ""},
		{"two over two lines", "// Row A1: one\n// and a half.\n// Row A2: two\n// more.\nfunc TestX(t *testing.T) {}", "[A1] TestX one and a half.; [A2] TestX two more.", ""},
		{"below prose", "// TestX does it.\n//\n// Row A1: one.\nfunc TestX(t *testing.T) {}", "[A1] TestX one.", ""},
		{"prose with the word", "// Rows of the table come first.\nfunc TestX(t *testing.T) {}", "", ""},
		{"blank line between", "// Row A1: one.\n\nfunc TestX(t *testing.T) {}", "", "directly above"},
		{"above no test", "// Row A1: one.\nfunc check(t *testing.T) {}", "", "directly above"},
		{"above TestMain", "// Row A1: one.\nfunc TestMain(m *testing.M) {}", "", "directly above"},
		{"above a word that starts like a test", "// Row A1: one.\nfunc Testify(t *testing.T) {}", "", "directly above"},
		{"above a method", "// Row A1: one.\nfunc (s suite) TestX(t *testing.T) {}", "", "directly above"},
		{"in a body", "func TestX(t *testing.T) {\n// Row A1: one.\n}", "", "directly above"},
		{"beyond the series", "// Row A117: one.\nfunc TestX(t *testing.T) {}", "", "goes from 1 to 116"},
		{"no sentence", "// Row A1:\nfunc TestX(t *testing.T) {}", "", "want"},
		{"a range", "// Rows A1-A3: one.\nfunc TestX(t *testing.T) {}", "", "want"},
		{"singular for two", "// Row A1, A2: one.\nfunc TestX(t *testing.T) {}", "", "want"},
		{"no space", "//Row A1: one.\nfunc TestX(t *testing.T) {}", "", "want"},
		{"not Go", "func {", "", "expected"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims, problems := scanFile("flow/in_test.go", []byte("package flow\n\n"+tt.src+"\n"))
			var got []string
			for _, c := range claims {
				if c.dir != "flow" || !strings.HasPrefix(c.pos, "flow/in_test.go:") {
					t.Errorf("claim at dir %q, pos %q", c.dir, c.pos)
				}
				got = append(got, fmt.Sprint(c.rows, " ", c.test, " ", c.sentence))
			}
			if joined := strings.Join(got, "; "); joined != tt.claims {
				t.Errorf("claims %q, want %q", joined, tt.claims)
			}
			switch {
			case tt.problems == "" && len(problems) != 0:
				t.Errorf("problems %q, want none", problems)
			case tt.problems != "" && (len(problems) != 1 || !strings.Contains(problems[0], tt.problems)):
				t.Errorf("problems %q, want one with %q", problems, tt.problems)
			}
		})
	}
}

func TestScanCrossesModulesAndSkipsTestdata(t *testing.T) {
	src := &fstest.MapFile{Data: []byte("package x\n\n// Row A1: one.\nfunc TestX(t *testing.T) {}\n")}
	checkout := make(fstest.MapFS)
	for _, file := range []string{
		"x_test.go", "sub/go.mod", "sub/pkg/x_test.go", "testdata/x_test.go",
		".git/x_test.go", "_old/x_test.go", "vendor/v/x_test.go", "x.go",
	} {
		checkout[file] = src
	}
	claims, problems, err := scan(checkout)
	if err != nil || len(problems) != 0 {
		t.Fatalf("scan: %v, problems %q", err, problems)
	}
	var dirs []string
	for _, c := range claims {
		dirs = append(dirs, c.dir)
	}
	if got := strings.Join(dirs, " "); got != "sub/pkg ." {
		t.Errorf("claims in %q, want %q", got, "sub/pkg .")
	}
}
