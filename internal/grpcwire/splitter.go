package grpcwire

// A Splitter finds the messages in a stream of DATA, whose frames have nothing
// to do with them: "DATA frame boundaries have no relation to
// Length-Prefixed-Message boundaries and implementations should make no
// assumptions about their alignment." It holds no payload, and of a prefix that
// is cut the octets that came. The zero value stands before the first message.
//
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#data-frames
type Splitter struct {
	prefix [PrefixLen]byte
	have   uint8  // octets of the prefix
	within bool   // the prefix is complete, the payload is not
	left   uint32 // octets of payload that are to come
	broken bool
}

// A Part is what a fragment of DATA says of one message.
type Part struct {
	// Begin says that the prefix is complete: Compressed and Size hold.
	Begin      bool
	Compressed bool
	Size       uint32 // of the message, in octets

	// Payload are the next octets of the message, a part of what was given to
	// Next. It may be empty.
	Payload []byte

	// End says that the message is complete.
	End bool
}

// Next takes octets from the start of p, which may end anywhere, and gives what
// they are: a part of one message, in the order Begin, Payload, End, and how
// many octets it took. That is all of p, or up to the end of the message. The
// caller goes on with the rest until nothing is left:
//
//	for len(p) > 0 {
//		part, n, err := s.Next(p)
//		...
//		p = p[n:]
//	}
//
// The error is that of ParsePrefix, and stays. Nothing is allocated but for it.
func (s *Splitter) Next(p []byte) (part Part, n int, err error) {
	if s.broken {
		_, _, err = ParsePrefix(s.prefix[:])
		return Part{}, 0, err
	}
	if !s.within {
		n = copy(s.prefix[s.have:], p)
		if s.have += uint8(n); s.have < PrefixLen {
			return Part{}, n, nil
		}
		if part.Compressed, part.Size, err = ParsePrefix(s.prefix[:]); err != nil {
			s.broken = true
			return Part{}, n, err
		}
		part.Begin, s.within, s.left = true, true, part.Size
	}
	rest := p[n:]
	if uint64(len(rest)) > uint64(s.left) {
		rest = rest[:s.left]
	}
	part.Payload = rest
	s.left -= uint32(len(rest))
	if s.left == 0 {
		part.End, s.within, s.have = true, false, 0
	}
	return part, n + len(rest), nil
}

// Missing gives how many octets the message that has begun still lacks: of the
// prefix as long as that is incomplete, then of the payload. It is 0 between
// two messages, where a stream may end.
func (s *Splitter) Missing() uint32 {
	switch {
	case s.within:
		return s.left
	case s.have > 0:
		return uint32(PrefixLen - s.have)
	}
	return 0
}
