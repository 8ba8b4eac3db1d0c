package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sample = `package sample

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv("SAMPLE_LEAK") != "" {
		println("sample leaks")
		code = 1
	}
	os.Exit(code)
}

// Row A1: passes.
func TestGood(t *testing.T) {}

// Row A2: fails.
func TestBad(t *testing.T) { t.Error("bad indeed") }

// Row A3: skips.
func TestSkipped(t *testing.T) { t.Skip("no") }

// Row A4: seeds run.
func FuzzGood(f *testing.F) { f.Add(1); f.Fuzz(func(t *testing.T, n int) {}) }

func TestGoodNeighbour(t *testing.T) { t.Error("must not run") }
`

// sampleModule writes a module of one package and returns its directory. The
// module is outside of any workspace.
func sampleModule(t *testing.T, src string) string {
	t.Helper()
	t.Setenv("GOWORK", "off")
	dir := t.TempDir()
	for name, content := range map[string]string{"go.mod": "module sample\n\ngo 1.26\n", "sample_test.go": src} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRunTellsOutcomesApart(t *testing.T) {
	dir := sampleModule(t, sample)
	claims, problems, err := scan(os.DirFS(dir))
	if err != nil || len(problems) != 0 {
		t.Fatalf("scan: %v, problems %q", err, problems)
	}
	r := runner{root: dir}
	results, failures, err := r.run(t.Context(), claims)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]outcome{
		"TestGood": outcomePass, "TestBad": outcomeFail, "TestSkipped": outcomeSkip, "FuzzGood": outcomePass,
	}
	if len(results) != len(want) {
		t.Errorf("%d results, want %d: %v", len(results), len(want), results)
	}
	for test, outcome := range want {
		if got := results[testID{".", test}]; got != outcome {
			t.Errorf("%s: %q, want %q", test, got, outcome)
		}
	}
	if text := strings.Join(failures, "\n"); !strings.Contains(text, "bad indeed") || strings.Contains(text, "must not run") {
		t.Errorf("failures are %q", text)
	}
}

func TestRunReportsWhatFailsOutsideTests(t *testing.T) {
	for _, tt := range []struct {
		name, src, leak string
		want            outcome
		output          string
	}{
		{"after the tests", sample, "1", outcomePass, "sample leaks"},
		{"at compile time", "package sample\n\nfunc TestGood(t *testing.T) {}\n", "", outcomeNone, "undefined: testing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := sampleModule(t, tt.src)
			t.Setenv("SAMPLE_LEAK", tt.leak)
			r := runner{root: dir}
			results, failures, err := r.run(t.Context(), []claim{{dir: ".", test: "TestGood"}})
			if err != nil {
				t.Fatal(err)
			}
			if got := results[testID{".", "TestGood"}]; got != tt.want {
				t.Errorf("TestGood: %q, want %q", got, tt.want)
			}
			if text := strings.Join(failures, "\n"); !strings.Contains(text, tt.output) {
				t.Errorf("failures are %q, want %q in them", text, tt.output)
			}
		})
	}
}
