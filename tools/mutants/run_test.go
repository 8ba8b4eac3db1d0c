package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// onePatch changes sampleModule.
const onePatch = `--- a/sum/sum.go
+++ b/sum/sum.go
@@ -3,2 +3,2 @@
 // Add adds.
-func Add(a, b int) int { return a + b }
+func Add(a, b int) int { return a + b + 1 }
`

const sampleTest = `package sum

import (
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if Add(0, 1) == 77 {
		code = 1 // as if something were left
	}
	os.Exit(code)
}

func TestAdd(t *testing.T) {
	switch got := Add(1, 2); got {
	case 3, 78:
	case 99:
		time.Sleep(time.Hour)
	case 55:
		go panic("beside the test")
		select {}
	default:
		t.Error("a wrong sum")
	}
}

func TestNothing(t *testing.T) {}
`

// sampleModule writes a module and returns its directory. It is outside of any
// workspace.
func sampleModule(t *testing.T) string {
	t.Helper()
	t.Setenv("GOWORK", "off")
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":          "module sample\n\ngo 1.26\n",
		"sum/sum.go":      "package sum\n\n// Add adds.\nfunc Add(a, b int) int { return a + b }\n",
		"sum/sum_test.go": sampleTest,
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestVerdicts(t *testing.T) {
	dir := sampleModule(t)
	const sum = "a + b + 1"
	for _, tt := range []struct {
		name, text string
		want       verdict
		output     string
	}{
		{"found", header + onePatch, verdictRed, "a wrong sum"},
		{"found by a panic", header + strings.Replace(onePatch, sum, "55 + 0*b", 1), verdictRed, "beside the test"},
		{"found by TestMain", header + strings.Replace(onePatch, sum, "a + 76 + b/b", 1), verdictRed, "FAIL"},
		{"not found", header + strings.Replace(onePatch, sum, "b + a", 1), verdictGreen, "PASS"},
		{"not looked for", strings.Replace(header, "TestAdd", "TestNothing", 1) + onePatch, verdictGreen, "PASS"},
		{"no such test", strings.Replace(header, "TestAdd", "TestSub", 1) + onePatch, verdictNoTest, ""},
		{"does not compile", header + strings.Replace(onePatch, sum, "c", 1), verdictNoBuild, "undefined: c"},
		{"takes for ever", header + strings.Replace(onePatch, sum, "99 + 0*b", 1), verdictTooLong, "timed out"},
		{"does not apply", header + strings.Replace(onePatch, "Add adds.", "Add sums.", 1), verdictNoPatch, "patch"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := parseMutant(tt.name, []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			r := runner{root: dir, timeout: "2m"}
			if tt.want == verdictTooLong {
				r.timeout = "2s"
			}
			if res := r.mutant(t.Context(), m); res.verdict != tt.want || !strings.Contains(res.output, tt.output) {
				t.Errorf("%s, want %s with %q:\n%s", res.verdict, tt.want, tt.output, res.output)
			}
		})
	}
	if text, err := os.ReadFile(filepath.Join(dir, "sum/sum.go")); err != nil || strings.Contains(string(text), "+ 1") {
		t.Errorf("the checkout was changed: %v\n%s", err, text)
	}
}
