package main

import (
	"strings"
	"testing"
)

// The process of a server is a shell that says what a server would say.
func TestServer_StartAndStop(t *testing.T) {
	for name, tt := range map[string]struct{ script, port, started, stopped string }{
		"good":           {"trap 'exit 0' TERM; echo 'x listening on [::]:123' >&2; while :; do :; done", "123", "", ""},
		"ends at once":   {"echo 'no port is free' >&2; exit 3", "", "exit status 3):\nno port is free", ""},
		"ends by itself": {"echo 'listening on [::]:123' >&2; kill -9 $$", "123", "", "it had ended by itself (signal: killed)"},
		"ends badly":     {"trap 'echo race! >&2; exit 66' TERM; echo 'listening on [::]:123' >&2; while :; do :; done", "123", "", "exit status 66:\nlistening on [::]:123\nrace!"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := start(t.Context(), "/bin/sh", "-c", tt.script)
			if tt.started != "" {
				if err == nil || !strings.Contains(err.Error(), tt.started) {
					t.Fatalf("start gave %v, want %q", err, tt.started)
				}
				return
			}
			if err != nil || s.port != tt.port {
				t.Fatalf("start gave %+v, %v", s, err)
			}
			if strings.Contains(tt.stopped, "by itself") {
				<-s.ended
			}
			err = s.stop()
			if (err == nil) != (tt.stopped == "") || err != nil && !strings.Contains(err.Error(), tt.stopped) {
				t.Errorf("stop gave %v, want %q", err, tt.stopped)
			}
		})
	}
}
