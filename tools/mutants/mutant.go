package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A mutant is a patch that brings one error into the code. The lines before
// its first diff say what it is about:
//
//	# rows: A41 A79
//	# what: filling the window to its last octet is refused
//	# test: ./internal/flow -run ^TestInFlowOverrun$
type mutant struct {
	name  string   // of the file, without .patch
	rows  []string // of docs/from-grpc-go.md; or 2c-9, a defect of its section
	what  string
	pkg   string // ./internal/flow
	test  string // the expression of -run
	files []string
	patch []byte
}

var (
	rowForm  = regexp.MustCompile(`^([AB][1-9][0-9]*|2c-[1-9][0-9]*)$`)
	testForm = regexp.MustCompile(`^(\./[a-z0-9_/.]+|\.) -run (\S+)$`)
)

// readMutants reads the patches of a directory whose name matches. It fails if
// there are none.
func readMutants(dir fs.FS, match *regexp.Regexp) ([]mutant, error) {
	names, err := fs.Glob(dir, "*.patch")
	if err != nil {
		return nil, err
	}
	var all []mutant
	var faults []error
	for _, name := range names {
		base := strings.TrimSuffix(path.Base(name), ".patch")
		if !match.MatchString(base) {
			continue
		}
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		m, err := parseMutant(base, text)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
			continue
		}
		all = append(all, m)
	}
	if len(all) == 0 && len(faults) == 0 {
		return nil, errors.New("no patches")
	}
	return all, errors.Join(faults...)
}

func parseMutant(name string, text []byte) (mutant, error) {
	m := mutant{name: name, patch: text}
	head := true
	for l := range strings.Lines(string(text)) {
		l = strings.TrimRight(l, "\n")
		if file, ok := strings.CutPrefix(l, "--- a/"); ok {
			head = false
			m.files = append(m.files, file)
		}
		key, value, ok := strings.Cut(l, ": ")
		if !head || !ok {
			continue
		}
		switch key {
		case "# rows":
			m.rows = strings.Fields(value)
		case "# what":
			m.what = value
		case "# test":
			parts := testForm.FindStringSubmatch(value)
			if parts == nil {
				return m, fmt.Errorf("%q is not of the form ./package -run ^TestName$", value)
			}
			m.pkg, m.test = parts[1], parts[2]
		}
	}
	for _, row := range m.rows {
		if !rowForm.MatchString(row) {
			return m, fmt.Errorf("%q is no row", row)
		}
	}
	switch {
	case len(m.rows) == 0 || m.what == "" || m.test == "":
		return m, errors.New("it lacks one of # rows, # what and # test")
	case len(m.files) == 0:
		return m, errors.New("it changes no file")
	case slices.ContainsFunc(m.files, func(f string) bool {
		return !fs.ValidPath(f) || !strings.HasSuffix(f, ".go") || strings.HasSuffix(f, "_test.go")
	}):
		return m, errors.New("it changes what is no code, or a test")
	}
	_, err := regexp.Compile(m.test)
	return m, err
}
