package arch

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// features compares weir with others, feature by feature. What weir has it
// links to the tests that show it.
const features = "docs/features.md"

// featuresHead is how the heads of its tables begin.
const featuresHead = "| feature | weir |"

// leastFeatures is how many rows it has at least.
const leastFeatures = 100

// unshown gives the rows of the comparison that claim a feature and link to no
// test, those that claim neither yes nor no, and the tests that are not where
// a link says.
func unshown(fsys fs.FS, t *tree) (faults []string, rows int) {
	text, err := fs.ReadFile(fsys, features)
	if err != nil {
		return []string{err.Error()}, 0
	}
	has, inTable := t.tests(), false
	for n, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, featuresHead) {
			inTable = true
			continue
		}
		if inTable = inTable && strings.HasPrefix(line, "|"); !inTable || strings.HasPrefix(line, "|-") {
			continue
		}
		rows++
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Sprintf("%s:%d ", features, n+1)+fmt.Sprintf(format, args...))
		}
		cells := strings.Split(line, "|")
		if n := len(cells) - 2; n != 6 {
			fault("has %d cells: the feature, weir and four others are wanted", n)
			continue
		}
		claim := strings.TrimSpace(cells[2])
		tests := namedTest.FindAllStringSubmatch(claim, -1)
		switch {
		case strings.HasPrefix(claim, "yes") && len(tests) == 0:
			fault("says yes and links to no test")
		case !strings.HasPrefix(claim, "yes") && !strings.HasPrefix(claim, "no"):
			fault("says neither yes nor no")
		}
		for _, m := range tests {
			if file := path.Join(path.Dir(features), m[2]); !slices.Contains(has[m[1]], file) {
				fault("links to %s, which %s has not", m[1], file)
			}
		}
	}
	return faults, rows
}

// Each feature that docs/features.md says weir has is shown by a test.
func TestFeatures_AreShown(t *testing.T) {
	fsys := os.DirFS(root)
	tree, err := load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	faults, rows := unshown(fsys, tree)
	for _, fault := range faults {
		t.Error(fault)
	}
	if rows < leastFeatures {
		t.Errorf("%s has %d rows, want %d at least", features, rows, leastFeatures)
	}
}

func TestFeatures_Unshown_IsFound(t *testing.T) {
	const head = featuresHead + " grpc-go | connect-go | tonic | gRPC-Java |\n|---|---|---|---|---|---|\n"
	for name, tt := range map[string]struct {
		row, fault string
	}{
		"shown":       {"| this | yes, 4: [`TestX`](../transport/x_test.go) | yes | no | ? | partly |", ""},
		"not there":   {"| this | yes: [`TestY`](../transport/x_test.go) | yes | no | ? | partly |", "docs/features.md:3 links to TestY"},
		"no test":     {"| this | yes | yes | no | ? | partly |", "says yes and links to no test"},
		"no":          {"| this | no: later | yes | no | ? | partly |", ""},
		"no word":     {"| this | | yes | no | ? | partly |", "says neither yes nor no"},
		"a cell less": {"| this | no | yes | no | ? |", "has 5 cells"},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{
				features:              {Data: []byte(head + tt.row + "\n\n| other | table |\n")},
				"transport/x_test.go": {Data: []byte("package x\nfunc TestX() {}")},
			}
			tree, err := load(fsys)
			if err != nil {
				t.Fatal(err)
			}
			faults, rows := unshown(fsys, tree)
			bites(t, faults, tt.fault)
			if rows != 1 {
				t.Errorf("%d rows", rows)
			}
		})
	}
}
