package main

import (
	"fmt"
	"strings"
	"testing"
)

// The port is found though it comes in pieces, and only once.
func TestOutputFindsThePort(t *testing.T) {
	for _, tt := range []struct {
		name  string
		parts []string
		want  string
	}{
		{"weir", []string{"interop server listening on [::]:4711\n"}, "4711"},
		{"grpc-go's log", []string{"2026/01/02 03:04:05 INFO: [core] 1\n", "INFO: [interop] interop server listening on [::]:4711\n", "more\n"}, "4711"},
		{"pieces", []string{"interop server listen", "ing on [::]:47", "11", "\n"}, "4711"},
		{"twice", []string{"listening on [::]:4711\n", "listening on [::]:4712\n"}, "4711"},
		{"not yet", []string{"listening on [::]:47"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := make(chan string, 1)
			o := output{port: port}
			for _, p := range tt.parts {
				if n, err := o.Write([]byte(p)); n != len(p) || err != nil {
					t.Fatal(n, err)
				}
			}
			got := ""
			select {
			case got = <-port:
			default:
			}
			if got != tt.want {
				t.Errorf("port %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWordsAreTheLastLines(t *testing.T) {
	var o output
	if got := o.words(); got != "" {
		t.Errorf("words of nothing: %q", got)
	}
	for i := range 30 {
		fmt.Fprintf(&o, "line %d\n", i)
	}
	lines := strings.Split(o.words(), "\n")
	if len(lines) != wordLines || lines[0] != "line 18" || lines[wordLines-1] != "line 29" {
		t.Errorf("%q", lines)
	}
}

func TestStopOfAServerThatHasEnded(t *testing.T) {
	s, err := start(t.Context(), fake("weir", "", "").server, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.kill()
	if err := s.stop(); err == nil || !strings.Contains(err.Error(), "by itself") {
		t.Errorf("error %v", err)
	}
	if _, err := start(t.Context(), []string{t.TempDir()}, nil); err == nil {
		t.Error("a directory runs")
	}
}
