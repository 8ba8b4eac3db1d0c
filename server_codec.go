package weir

import "google.golang.org/grpc/encoding"

// ForceServerCodec makes codec the one of all calls, whatever their
// content-subtype is. A *Raw passes it by. Without the option the codec is the
// one that is registered for the content-subtype.
func ForceServerCodec(codec encoding.Codec) ServerOption {
	if codec == nil {
		return noCodec("ForceServerCodec")
	}
	return forcedCodec(codecV1(codec))
}

// ForceServerCodecV2 is ForceServerCodec with a codec of the second kind.
func ForceServerCodecV2(codec encoding.CodecV2) ServerOption {
	if codec == nil {
		return noCodec("ForceServerCodecV2")
	}
	return forcedCodec(codecV2(codec))
}

func noCodec(option string) ServerOption {
	return serverOption(func(cfg *serverConfig) { cfg.fault.note(option, "the codec is nil: leave it out") })
}

func forcedCodec(c codec) ServerOption {
	return serverOption(func(cfg *serverConfig) { cfg.intake.codec = &c })
}

// codec gives the codec of a content-subtype; none means proto, which is the
// one that was registered when the server was made. A method that nobody has
// registered may need none: then its messages are Raw.
func (s *Server) codec(subtype string, m *method) (codec, bool) {
	if forced := s.cfg.intake.codec; forced != nil {
		return *forced, true
	}
	if subtype == "" || subtype == "proto" {
		return s.proto, true
	}
	c, ok := codecFor(subtype)
	if !ok && m.unregistered {
		return codec{v2: RawCodec{}}, true
	}
	return c, ok
}

// forStream is the codec of a stream's messages.
func (c codec) forStream() codec {
	c.once = true
	return c
}
