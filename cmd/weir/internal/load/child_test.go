package load

import (
	"strings"
	"testing"
	"time"
)

func TestChildThatFails(t *testing.T) {
	c, err := start(t.Context(), program(t), "fail")
	if err != nil {
		t.Fatal(err)
	}
	var hello serverHello
	err = c.hear(&hello)
	if err == nil || !strings.Contains(err.Error(), `process "fail"`) || !strings.Contains(err.Error(), "no water") {
		t.Errorf("hear() = %v, want the process and its last words", err)
	}
	if err := c.stop(); err != nil {
		t.Errorf("stop() = %v after the failure was told, want nil", err)
	}
}

func TestChildThatDoesNotEnd(t *testing.T) {
	c, err := start(t.Context(), program(t), "stay")
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.WaitDelay = 100 * time.Millisecond
	if err := c.stop(); err == nil || !strings.Contains(err.Error(), "expected a clean end within 100ms; came") || !strings.Contains(err.Error(), "killed") {
		t.Errorf("stop() = %v, want that the process did not end", err)
	}
}
