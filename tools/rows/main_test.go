package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunExitStatus(t *testing.T) {
	const good = "package sample\n\nimport \"testing\"\n\n// Row A1: passes.\nfunc TestGood(t *testing.T) {}\n"
	for _, tt := range []struct {
		name, src, required string
		args                []string
		document            string
		code                int
		output              string
	}{
		{"all is well", good, "require A1", []string{"-strict"}, "", 0, "A1  pass"},
		{"missing is a warning", good, "require A1-A3", nil, "", 0, "no such part: A2-A3"},
		{"missing is strict", good, "require A1-A3", []string{"-strict"}, "", 1, "no such part: A2-A3"},
		{"exempt", good, "require A1-A2\nexempt A2 r", []string{"-strict"}, "", 0, "of 1 required 0 are missing"},
		{"stale exemption", good, "require A1\nexempt A1 r", []string{"-strict"}, "", 1, "exempts although"},
		{"a test fails", strings.Replace(good, "{}", `{ t.Error("no") }`, 1), "require A1", nil, "", 1, "A1  fail"},
		{"malformed", strings.Replace(good, "Row A1:", "Row A1", 1), "require A2", nil, "", 1, "1 other faults"},
		{"no document", good, "require A1", []string{"-strict"}, "none.md", 1, "none.md"},
		{"bad list", good, "require", nil, "", 2, ""},
		{"bad flag", good, "require A1", []string{"-strange"}, "", 2, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := sampleModule(t, tt.src)
			var out strings.Builder
			code, err := run(t.Context(), append(tt.args, "-root", dir, "-document", tt.document), []byte(tt.required), &out)
			if code != tt.code || (err != nil) != (tt.code == 2) {
				t.Errorf("exit status %d, error %v, want %d\n%s", code, err, tt.code, out.String())
			}
			if !strings.Contains(out.String(), tt.output) {
				t.Errorf("no %q in\n%s", tt.output, out.String())
			}
		})
	}
}

// A row of which weir has no part needs no test, and must not have one.
func TestNoSuchPartSettlesARow(t *testing.T) {
	const good = "package sample\n\nimport \"testing\"\n\n// Row A1: passes.\nfunc TestGood(t *testing.T) {}\n"
	row := func(name, cell string) func(string) string {
		return func(document string) string {
			return strings.Replace(document, "| "+name+" | name | file | why | — |", "| "+name+" | name | file | why | "+cell+" |", 1)
		}
	}
	tested := row("A1", "`.` TestGood")
	for _, tt := range []struct {
		name, required string
		change         func(string) string
		code           int
		output         string
	}{
		{"a reason", "require A1-A2", row("A2", "no such part: nothing is queued"), 0, "1 without a part in weir"},
		{"no reason", "require A1-A2", row("A2", "no such part: "), 1, "no such part: A2"},
		{"a test as well", "require A1", row("A1", "no such part: nothing is queued"), 1, "row A1 has a test and is said to have no such part"},
		{"an exemption as well", "require A1-A2\nexempt A2 later", row("A2", "no such part: nothing is queued"), 1, "exempts although they are settled: A2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := sampleModule(t, good)
			document := tt.change(tested(wholeDocument()))
			if tt.name == "a test as well" {
				document = tt.change(wholeDocument())
			}
			if err := os.WriteFile(filepath.Join(dir, "rows.md"), []byte(document), 0o600); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			code, err := run(t.Context(), []string{"-strict", "-root", dir, "-document", "rows.md"}, []byte(tt.required), &out)
			if code != tt.code || err != nil || !strings.Contains(out.String(), tt.output) {
				t.Errorf("exit status %d, error %v, want %d and %q\n%s", code, err, tt.code, tt.output, out.String())
			}
		})
	}
}

func TestWriteFillsTheDocument(t *testing.T) {
	dir := sampleModule(t, sample)
	name := filepath.Join(dir, "rows.md")
	if err := os.WriteFile(name, []byte(wholeDocument()), 0o600); err != nil {
		t.Fatal(err)
	}
	code, err := run(t.Context(), []string{"-write", "-root", dir, "-document", "rows.md"}, nil, io.Discard)
	if code != 0 || err != nil {
		t.Fatalf("exit status %d, error %v", code, err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| A1 | name | file | why | `.` TestGood |", "| A4 | name | file | why | `.` FuzzGood |", "| A5 | name | file | why | — |"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in the document", want)
		}
	}
}
