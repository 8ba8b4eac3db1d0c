package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weir-rpc/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// programs gives a directory with shell scripts in the place of programs.
func programs(t *testing.T, scripts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What is missing or wrong is said, and is no success.
func TestRun_Fails(t *testing.T) {
	for name, tt := range map[string]struct {
		args   []string
		dir    string
		status int
		says   string
	}{
		"help":          {args: []string{"-h"}, status: statusOK, says: "promtool"},
		"an argument":   {args: []string{"x"}, status: statusUsage, says: `unexpected argument "x"`},
		"an option":     {args: []string{"-x"}, status: statusUsage, says: "-x"},
		"no programs":   {dir: programs(t, nil), status: statusFailed, says: "make prometheus"},
		"no Prometheus": {dir: programs(t, map[string]string{"promtool": "cat > /dev/null"}), status: statusFailed, says: "cannot start Prometheus"},
		"no document":   {args: []string{"-doc", "none.md"}, status: statusFailed, says: "none.md"},
		"promtool finds fault": {
			dir:    programs(t, map[string]string{"promtool": "cat > /dev/null; echo a bad name; exit 3", "prometheus": "exit 0"}),
			status: statusFailed, says: "a bad name",
		},
		"Prometheus ends": {
			dir:    programs(t, map[string]string{"promtool": "cat > /dev/null", "prometheus": "echo no space; exit 1"}),
			status: statusFailed, says: "prometheus has ended: no space",
		},
	} {
		t.Run(name, func(t *testing.T) {
			args := tt.args
			if tt.dir != "" {
				args = []string{"-dir", tt.dir, "-doc", "main.go"}
			}
			var out, errOut bytes.Buffer
			if status := run(t.Context(), args, &out, &errOut); status != tt.status || !strings.Contains(errOut.String(), tt.says) {
				t.Errorf("status %d and %q, want %d and %q", status, errOut.String(), tt.status, tt.says)
			}
			http.DefaultClient.CloseIdleConnections()
		})
	}
}

func TestExamples(t *testing.T) {
	const doc = "a\n```promql\n# why\nup > 0\n\nup < 1\n```\nb\n```go\nc\n```\n"
	if got := examples(doc); !slices.Equal(got, []string{"up > 0", "up < 1"}) {
		t.Errorf("queries %q", got)
	}
}

func TestAsk(t *testing.T) {
	var body string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("query") != `up{a="b c"} > 0` {
			t.Errorf("asked for %q", r.URL.RawQuery)
		}
		_, _ = w.Write([]byte(body))
	}))
	defer s.Close()
	defer http.DefaultClient.CloseIdleConnections()
	address := strings.TrimPrefix(s.URL, "http://")
	const series = `{"metric":{},"value":[17.5,"3"]}`
	for _, tt := range []struct{ body, want, fault string }{
		{`{"status":"success","data":{"result":[` + series + `]}}`, "3", ""},
		{`{"status":"success","data":{"result":[]}}`, "", ""},
		{`{"status":"success","data":{"result":[` + series + "," + series + `]}}`, "", "2 series, want one"},
		{`{"status":"error","error":"parse error"}`, "", "parse error"},
		{`<html>`, "", "answered"},
	} {
		body = tt.body
		got, err := ask(t.Context(), address, `up{a="b c"} > 0`)
		if got != tt.want || (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%s is %q, %v, want %q, %q", tt.body, got, err, tt.want, tt.fault)
		}
	}
	// An answer that is not the wanted one is asked for again until it is too late.
	body = `{"status":"success","data":{"result":[` + series + `]}}`
	p := &promServer{address: address, ended: make(chan struct{})}
	if err := p.until(t.Context(), question{`up{a="b c"} > 0`, "3"}); err != nil {
		t.Error(err)
	}
	late := errors.New("too late")
	ctx, cancel := context.WithCancelCause(t.Context())
	asked := 0
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 2 {
			cancel(late)
		}
		_, _ = w.Write([]byte(body))
	})
	if err := p.until(ctx, question{"x", "4"}); !errors.Is(err, late) || asked < 2 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}
