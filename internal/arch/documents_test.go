package arch

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

var (
	documentLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	documentTest = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`)
	notInAnchors = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
)

// misled gives what documents say that leads nowhere: links to files and headings,
// and names of tests. What stands in blocks of code is an example.
func misled(fsys fs.FS, t *tree) (faults []string, documents int) {
	tests := t.tests()
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (name[0] == '.' || name == "bin" || d.Name() == "testdata"):
			return fs.SkipDir
		case path.Ext(name) != ".md":
			return nil
		}
		documents++
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		eachLine(string(text), func(n int, line string) {
			for _, m := range documentLink.FindAllStringSubmatch(line, -1) {
				if fault := leadsNowhere(fsys, name, m[1]); fault != "" {
					faults = append(faults, fmt.Sprintf("%s:%d links to %s, %s", name, n, m[1], fault))
				}
			}
			for _, test := range documentTest.FindAllString(line, -1) {
				if tests[test] == nil {
					faults = append(faults, fmt.Sprintf("%s:%d names %s, which no package has", name, n, test))
				}
			}
		})
		return nil
	})
	if err != nil {
		faults = append(faults, err.Error())
	}
	return faults, documents
}

// leadsNowhere says what is wrong with a link in a document, if it is to a file of
// the repository.
func leadsNowhere(fsys fs.FS, document, link string) string {
	if strings.Contains(link, "://") {
		return ""
	}
	file, heading, _ := strings.Cut(link, "#")
	target := document
	if file != "" {
		target = path.Join(path.Dir(document), file)
	}
	if _, err := fs.Stat(fsys, target); err != nil {
		return "where nothing is"
	}
	if heading == "" || path.Ext(target) != ".md" {
		return ""
	}
	text, err := fs.ReadFile(fsys, target)
	if err != nil {
		return err.Error()
	}
	found := false
	eachLine(string(text), func(_ int, line string) {
		title := strings.TrimLeft(line, "#")
		found = found || title != line && anchor(title) == heading
	})
	if !found {
		return "where no heading is that"
	}
	return ""
}

// anchor is what the links to a heading have behind the #.
func anchor(title string) string {
	title = notInAnchors.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
	return strings.ReplaceAll(title, " ", "-")
}

// eachLine gives the lines of a document that are in no block of code.
func eachLine(text string, f func(n int, line string)) {
	code := false
	for i, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			code = !code
		} else if !code {
			f(i+1, line)
		}
	}
}

// Links and names of tests in documents lead somewhere.
func TestDocuments(t *testing.T) {
	fsys := os.DirFS(root)
	tree, err := load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	faults, documents := misled(fsys, tree)
	for _, fault := range faults {
		t.Error(fault)
	}
	if documents < 10 {
		t.Errorf("%d documents", documents)
	}
}

func TestDocumentsBite(t *testing.T) {
	for name, tt := range map[string]struct{ text, fault string }{
		"a file":         {"[x](../transport/x_test.go)", ""},
		"a folder":       {"[x](../transport)", ""},
		"no file":        {"[x](../transport/y.go)", "docs/a.md:1 links to ../transport/y.go, where nothing is"},
		"elsewhere":      {"[x](https://example.com/#y)", ""},
		"a heading":      {"# What `X` is, and why\n[x](#what-x-is-and-why)", ""},
		"no heading":     {"# What it is\n[x](#what-it-was)", "docs/a.md:2 links to #what-it-was, where no heading is that"},
		"of another":     {"[x](b.md#b)", ""},
		"not of another": {"[x](b.md#c)", "links to b.md#c"},
		"a test":         {"`TestX`, Testing", ""},
		"no test":        {"`TestY`", "docs/a.md:1 names TestY"},
		"an example":     {"```go\nfunc TestY\n# c\n```", ""},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{
				"docs/a.md":           {Data: []byte(tt.text)},
				"docs/b.md":           {Data: []byte("## B\n")},
				"transport/x_test.go": {Data: []byte("package x\nfunc TestX() {}")},
			}
			tree, err := load(fsys)
			if err != nil {
				t.Fatal(err)
			}
			faults, _ := misled(fsys, tree)
			bites(t, faults, tt.fault)
		})
	}
}
