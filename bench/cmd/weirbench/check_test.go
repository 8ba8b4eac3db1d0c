package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func floors(t *testing.T, value float64) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "floors.json")
	text := fmt.Sprintf(`{"tolerance": 0.2, "floors": [
		{"scenario": "unary/32B/1", "peer": "weir", "measure": "cpu", "value": %g, "measured": "2026-11-21"}
	]}`, value)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		value  float64
		args   []string
		status int
		out    []string // in this order
		errOut string
	}{
		{"holds", 0.001, nil, statusOK, []string{"holds  unary/32B/1 of weir: cpu"}, ""},
		{
			"below", 1000, nil, statusFailed,
			[]string{"BELOW  unary/32B/1 of weir", "again  unary/32B/1: with 9 rounds", "BELOW  unary/32B/1 of weir"}, errBelow.Error(),
		},
		{"of others", 1, []string{"-scenario", "^bidi"}, statusFailed, nil, "expected scenarios with a floor"},
		{"too few rounds", 1, []string{"-rounds", "2"}, statusUsage, nil, "-check: expected 3 rounds or more"},
		{"with a table", 1, []string{"-out", "x"}, statusUsage, nil, "-check: expected neither"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"-check", floors(t, tt.value), "-duration", "2ms", "-warmup", "1ms"}, tt.args...)
			status, out, errOut := runFor(t.Context(), args...)
			if status != tt.status || !strings.Contains(errOut, tt.errOut) {
				t.Errorf("exit status %d and stderr %q, want %d and %q", status, errOut, tt.status, tt.errOut)
			}
			rest := out
			for _, want := range tt.out {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Errorf("stdout %q, want %q in this order", out, tt.out)
					break
				}
				rest = after
			}
		})
	}
	if status, _, errOut := runFor(t.Context(), "-check", "none"); status != statusFailed || !strings.Contains(errOut, "none") {
		t.Errorf("without a file: exit status %d and stderr %q", status, errOut)
	}
}
