package benchpb

import (
	"bytes"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, size := range []int{0, 1, 32, whole, whole + 1, 1 << 20} {
		payload := Fill(7, size)
		for _, tt := range []struct {
			name string
			got  func(m *Message)
			err  string
		}{
			{"as sent", func(*Message) {}, ""},
			{"another sequence", func(m *Message) { m.Sequence++ }, "expected message 3; came 4"},
			{"longer", func(m *Message) { m.Payload = append(m.Payload, 0) }, "octets; came"},
			{"of another seed", func(m *Message) { m.Payload = Fill(8, size) }, "other octets"},
			{"first octet", func(m *Message) { m.Payload[0] ^= 1 }, "other octets"},
			{"last octet", func(m *Message) { m.Payload[size-1] ^= 1 }, "other octets"},
			{"two frames swapped", func(m *Message) {
				const frame = 16 << 10
				copy(m.Payload, payload[frame:2*frame])
				copy(m.Payload[frame:], payload[:frame])
			}, "other octets at 0"},
			{"a KiB of zeros", func(m *Message) { clear(m.Payload[stride*9+5 : stride*10+5]) }, "other octets at 9216"},
		} {
			if size < 2 && tt.err == "other octets" || size < 64<<10 && strings.Contains(tt.err, " at ") {
				continue
			}
			m := &Message{Sequence: 3, Payload: bytes.Clone(payload)}
			tt.got(m)
			err := Check(m, 3, payload)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%d octets, %s: error %v, want %q", size, tt.name, err, tt.err)
			}
		}
	}
}

func TestFillTellsPlacesApart(t *testing.T) {
	p := Fill(1, 1<<16)
	seen := make(map[string]int)
	for i := 0; i+8 <= len(p); i += 8 {
		if at, ok := seen[string(p[i:i+8])]; ok {
			t.Fatalf("the words at %d and %d are the same", at, i)
		}
		seen[string(p[i:i+8])] = i
	}
}
