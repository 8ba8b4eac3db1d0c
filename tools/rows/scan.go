package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// A claim is one test function that says which rows it proves.
type claim struct {
	rows     []row
	sentence string
	test     string
	dir      string // of the package, relative to the checkout, with slashes
	pos      string // file:line of the comment
}

var (
	looksLikeClaim = regexp.MustCompile(`^//\s*Rows?:?\s+[A-Z]\d`)
	claimOfOne     = regexp.MustCompile(`^// Row ([A-Z]\d+): (\S.*)$`)
	claimOfMany    = regexp.MustCompile(`^// Rows ([A-Z]\d+(?:, [A-Z]\d+)+): (\S.*)$`)
)

// scan reads every test file of a checkout, whichever module it belongs to,
// and returns what the tests claim. A comment that looks like a claim and is
// none (misspelt, or above something else than a test) is a problem rather
// than silence: a proof that nobody runs would look like a proof.
func scan(checkout fs.FS) (claims []claim, problems []string, err error) {
	err = fs.WalkDir(checkout, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && skipDir(d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		src, err := fs.ReadFile(checkout, name)
		if err != nil {
			return err
		}
		fileClaims, fileProblems := scanFile(name, src)
		claims = append(claims, fileClaims...)
		problems = append(problems, fileProblems...)
		return nil
	})
	return claims, problems, err
}

// skipDir says which directories hold no packages, by the go command's rules.
func skipDir(name string) bool {
	return name == "testdata" || name == "vendor" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
}

func scanFile(name string, src []byte) (claims []claim, problems []string) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, []string{err.Error()}
	}
	tests := make(map[*ast.CommentGroup]string)
	for _, decl := range file.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Doc != nil && isTest(fn) {
			tests[fn.Doc] = fn.Name.Name
		}
	}
	for _, group := range file.Comments {
		for i, comment := range group.List {
			if !looksLikeClaim.MatchString(comment.Text) {
				continue
			}
			at := fset.Position(comment.Pos())
			pos := fmt.Sprintf("%s:%d", at.Filename, at.Line)
			test, ok := tests[group]
			if !ok {
				problems = append(problems, pos+": a claim must stand directly above a Test or Fuzz function")
				continue
			}
			rows, sentence, err := parseClaim(comment.Text)
			if err != nil {
				problems = append(problems, pos+": "+err.Error())
				continue
			}
			claims = append(claims, claim{
				rows: rows, sentence: sentence + continued(group.List[i+1:]), test: test, dir: path.Dir(name), pos: pos,
			})
		}
	}
	return claims, problems
}

// continued gives the rest of a sentence that goes on over comment lines: up
// to an empty line or the next claim.
func continued(comments []*ast.Comment) string {
	var rest strings.Builder
	for _, comment := range comments {
		text, ok := strings.CutPrefix(comment.Text, "// ")
		if !ok || looksLikeClaim.MatchString(comment.Text) {
			break
		}
		rest.WriteString(" " + strings.TrimSpace(text))
	}
	return rest.String()
}

func parseClaim(text string) ([]row, string, error) {
	m := claimOfOne.FindStringSubmatch(text)
	if m == nil {
		m = claimOfMany.FindStringSubmatch(text)
	}
	if m == nil {
		return nil, "", fmt.Errorf("want %q or %q, got %q",
			"// Row A41: sentence", "// Rows A41, A43: sentence", text)
	}
	names := strings.Split(m[1], ", ")
	rows := make([]row, 0, len(names))
	for _, name := range names {
		r, err := parseRow(name)
		if err != nil {
			return nil, "", err
		}
		rows = append(rows, r)
	}
	return rows, m[2], nil
}

// isTest reports whether the go command would run fn for a matching -run.
func isTest(fn *ast.FuncDecl) bool {
	if fn.Recv != nil || fn.Type.Params.NumFields() != 1 {
		return false
	}
	for _, prefix := range []string{"Test", "Fuzz"} {
		rest, ok := strings.CutPrefix(fn.Name.Name, prefix)
		if ok && (rest == "" || rest[0] < 'a' || rest[0] > 'z') {
			return fn.Name.Name != "TestMain"
		}
	}
	return false
}
