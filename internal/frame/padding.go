package frame

// unpad takes the padding off the payload, of which need octets must be left.
//
// "If the length of the padding is the length of the frame payload or greater,
// the recipient MUST treat this as a connection error (Section 5.4.1) of type
// PROTOCOL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.2
// https://www.rfc-editor.org/rfc/rfc9113#section-6.6
func (f *Frame) unpad(need int) *Error {
	if !f.Flags.Has(FlagPadded) {
		return nil
	}
	pad := int(f.Payload[0])
	if 1+need+pad > len(f.Payload) {
		return tooMuchPadding(f.Header, pad)
	}
	f.Payload = f.Payload[1 : len(f.Payload)-pad]
	return nil
}

func tooMuchPadding(h Header, pad int) *Error {
	return connError(CodeProtocol, "%v of %d octets with %d of padding, which leaves no room for the rest", h.Type, h.Length, pad)
}

// padding is the longest there is.
//
// "Padding octets MUST be set to zero when sending."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.1
var padding [255]byte
