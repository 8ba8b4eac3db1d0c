package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOverlay(t *testing.T) {
	root, dir := sampleModule(t), t.TempDir()
	m, err := parseMutant("name", []byte(header+onePatch))
	if err != nil {
		t.Fatal(err)
	}
	name, err := overlay(t.Context(), root, dir, m)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Replace map[string]string }
	if err := json.Unmarshal(text, &got); err != nil || len(got.Replace) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	changed, err := os.ReadFile(got.Replace[filepath.Join(root, "sum", "sum.go")])
	if err != nil || !strings.Contains(string(changed), "a + b + 1") {
		t.Errorf("the file stands for %q, %v", changed, err)
	}
}

// A temporary directory may lie in a checkout, whose files git must not look
// for.
func TestOverlay_WithinARepository(t *testing.T) {
	root := sampleModule(t)
	if err := os.MkdirAll(filepath.Join(root, ".git"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, ".git", "HEAD"), "ref: refs/heads/main\n")
	dir := filepath.Join(root, "tmp")
	m, err := parseMutant("name", []byte(header+onePatch))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := overlay(t.Context(), root, dir, m); err != nil {
		t.Error(err)
	}
}
