package transport

import (
	"strings"
	"testing"
)

// A value goes where values can go, as often as it is sent, and nowhere else.
func TestNewValue(t *testing.T) {
	v := new(int)
	b := NewValue(v)
	if b.Value() != v || b.Len() != 0 {
		t.Errorf("got %v, %d octets", b.Value(), b.Len())
	}
	for range 2 {
		m := b.Message()
		if m.Value() != v || m.Data != nil {
			t.Errorf("received as %v, %q", m.Value(), m.Data)
		}
		m.Free()
		if m.Value() != nil {
			t.Error("Free leaves the value")
		}
	}
	func() {
		defer func() {
			if p, _ := recover().(string); !strings.Contains(p, "NewValue") {
				t.Errorf("over HTTP/2: %v", p)
			}
		}()
		b.seal()
	}()
	b.Free()
	if b.Value() != nil {
		t.Error("Free leaves the value")
	}
}
