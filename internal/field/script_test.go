package field

import "strings"

// A script turns a fuzzer's octets into choices. Past its end every choice is 0.
type script struct{ octets []byte }

func (s *script) more() bool { return len(s.octets) > 0 }

func (s *script) pick(n int) int {
	if len(s.octets) == 0 {
		return 0
	}
	b := s.octets[0]
	s.octets = s.octets[1:]
	return int(b) % n
}

var scriptNames = []string{
	":method", ":path", ":status", "content-type", "grpc-timeout", "te", "x-a", "x-b", "authorization",
	"", strings.Repeat("long-name-", 10),
}

var scriptValues = []string{
	"", "POST", "/weir.Shop/Buy", "/weir.Shop/Sell", "200", "application/grpc", "trailers", "1S", "~~", "\x00\xff",
	strings.Repeat("v", 70), strings.Repeat("~", 300), strings.Repeat("w", 1500), strings.Repeat("u", 5000),
}

func (s *script) field() Field {
	return Field{Name: scriptNames[s.pick(len(scriptNames))], Value: scriptValues[s.pick(len(scriptValues))]}
}

// block writes a header block for a decoder that has the table t. Most are
// faultless.
func (s *script) block(t *table, limit uint32) []byte {
	var b []byte
	if s.pick(8) == 7 {
		b = appendInteger(b, sizeUpdateBit, 5, uint64(s.pick(256))*uint64(limit)/250)
	}
	for range s.pick(16) {
		index := uint64(s.pick(256))%uint64(t.last()) + 1
		if t.count > 0 && s.pick(2) == 1 {
			index = staticLen + 1 + index%t.count
		}
		switch s.pick(8) {
		case 0:
			b = appendLiteral(b, insertBit, 6, uint32(index), s.field())
		case 1:
			b = appendLiteral(b, insertBit, 6, 0, s.field())
		case 2:
			b = appendLiteral(b, 0, 4, uint32(index), s.field())
		case 3:
			b = appendLiteral(b, neverIndexBit, 4, 0, s.field())
		default:
			b = appendInteger(b, indexedBit, 7, index)
		}
	}
	return b
}
