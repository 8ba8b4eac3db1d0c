package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const header = "# rows: A41 2c-3\n# what: it adds one\n# test: ./sum -run ^TestAdd$\n"

func TestParseMutant(t *testing.T) {
	m, err := parseMutant("name", []byte(header+onePatch))
	if err != nil {
		t.Fatal(err)
	}
	if m.name != "name" || !slices.Equal(m.rows, []string{"A41", "2c-3"}) || m.what != "it adds one" ||
		m.pkg != "./sum" || m.test != "^TestAdd$" || !slices.Equal(m.files, []string{"sum/sum.go"}) {
		t.Errorf("got %+v", m)
	}
}

func TestParseMutant_Refuses(t *testing.T) {
	good := header + onePatch
	for name, text := range map[string]string{
		"no rows":            strings.Replace(good, "# rows", "# row", 1),
		"a row that is none": strings.Replace(good, "2c-3", "C3", 1),
		"no sentence":        strings.Replace(good, "# what", "what", 1),
		"no test":            strings.Replace(good, "# test", "test", 1),
		"no -run":            strings.Replace(good, "-run ", "", 1),
		"a broken -run":      strings.Replace(good, "^TestAdd$", "(", 1),
		"no diff":            header,
		"a test is changed":  strings.ReplaceAll(good, "sum/sum.go", "sum/sum_test.go"),
		"a file outside":     strings.ReplaceAll(good, "sum/sum.go", "../sum.go"),
	} {
		if m, err := parseMutant("name", []byte(text)); err == nil {
			t.Errorf("%s: accepted as %+v", name, m)
		}
	}
}

func TestReadMutants(t *testing.T) {
	dir := fstest.MapFS{
		"A1-one.patch": {Data: []byte(header + onePatch)},
		"A2-two.patch": {Data: []byte(header + onePatch)},
		"README.md":    {Data: []byte("no patch")},
	}
	all, err := readMutants(dir, regexp.MustCompile("two"))
	if err != nil || len(all) != 1 || all[0].name != "A2-two" {
		t.Errorf("got %+v, %v", all, err)
	}
	if _, err := readMutants(dir, regexp.MustCompile("three")); err == nil {
		t.Error("no patches, and no error")
	}
	dir["A3-three.patch"] = &fstest.MapFile{Data: []byte("what?")}
	if _, err := readMutants(dir, regexp.MustCompile("")); err == nil || !strings.Contains(err.Error(), "A3-three.patch") {
		t.Errorf("a bad patch: %v", err)
	}
}
