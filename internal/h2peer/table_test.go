package h2peer

import (
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

func TestTableSize(t *testing.T) {
	tests := []struct {
		name   string
		acked  []uint32
		blocks []string // of which the last one is at fault, if any is
		fault  string
	}{
		{"nothing changed", nil, []string{"\x82"}, ""},
		{"the same", []uint32{4096}, []string{"\x82"}, ""},
		{"larger", []uint32{1 << 16}, []string{"\x82"}, ""},
		{"smaller", []uint32{10}, []string{"\x2a\x82", "\x82"}, ""},
		{"smaller than allowed", []uint32{10}, []string{"\x20\x82"}, ""},
		{"in two octets", []uint32{100}, []string{"\x3f\x45\x82"}, ""},
		{"down and up", []uint32{10, 100}, []string{"\x2a\x3f\x45\x82"}, ""},
		{"silently", []uint32{10}, []string{"\x82"}, "at most 10"},
		{"too little", []uint32{10}, []string{"\x2b\x82"}, "at most 10"},
		{"down and up, but the end", []uint32{10, 100}, []string{"\x3f\x45\x82"}, "at most 10"},
		{"not at the start", []uint32{10}, []string{"\x82\x2a"}, "at most 10"},
		{"in an empty block", []uint32{10}, []string{""}, "at most 10"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := tableSize{signaled: defaultHeaderTableSize}
			for _, size := range tt.acked {
				s.acked(size)
			}
			var fault string
			for _, block := range tt.blocks {
				fault = s.block([]byte(block))
			}
			if (fault == "") != (tt.fault == "") || !strings.Contains(fault, tt.fault) {
				t.Errorf("fault %q, want %q", fault, tt.fault)
			}
		})
	}
}

func TestSubjectSignalsTableSize(t *testing.T) {
	shaken(t, func(t *testing.T, s *script, client, server *Peer) {
		complaint := s.run(func() {
			client.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
			server.WriteSettingsAck()
			client.WantSettingsAck("the server has it")
			server.WriteHeadersRaw(1, []byte("\x88"), true, true)
			client.WantHeaders("the server goes on as if not", 1)
		})
		if !strings.Contains(complaint, "table size of at most 0") {
			t.Errorf("complaint %q", complaint)
		}
	})
}
