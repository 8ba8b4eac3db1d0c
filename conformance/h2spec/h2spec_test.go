package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-rpc/weir/conformance/internal/programs"
)

func TestFlags(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		out    string // is part of it
	}{
		{"help", []string{"-help"}, statusOK, "race detector"},
		{"unknown", []string{"-fast"}, statusUsage, "flag provided but not defined: -fast"},
		{"argument", []string{"generic"}, statusUsage, `h2spec: unexpected argument "generic"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if got := run(t.Context(), tt.args, &out, &out); got != tt.status {
				t.Errorf("exit status %d, want %d", got, tt.status)
			}
			if !strings.Contains(out.String(), tt.out) {
				t.Errorf("output %q, want %q in it", &out, tt.out)
			}
		})
	}
}

// The committed list is well-formed: three cases fail, four are skipped.
func TestKnown_Committed(t *testing.T) {
	root, err := programs.Directory(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(filepath.Join(root, "h2spec-known.txt"))
	if err != nil {
		t.Fatal(err)
	}
	known, err := parseKnown(string(list))
	if c := count(known); err != nil || c[failed] != 3 || c[skipped] != 4 {
		t.Errorf("%v, %v", known, err)
	}
}

// A run counts only if the report is there and whole.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return file
	}
	server := script("server", "trap 'exit 0' TERM; echo 'listening on [::]:123' >&2; while :; do :; done")
	if err := os.WriteFile(filepath.Join(dir, "short.xml"), []byte(report), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, h2spec, fault string }{
		{"none", "echo 'cannot connect'; exit 1", "h2spec gave no report"},
		{"short", "echo 'it ended'", "4 cases ran, not 146"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := security{name: tt.name}
			_, err := s.check(t.Context(), script("h2spec", tt.h2spec), server, dir, nil)
			if err == nil || !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("error %v, want %q", err, tt.fault)
			}
		})
	}
}
