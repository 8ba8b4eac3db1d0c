package frame

import "encoding/binary"

const promisedLen = 4

// checkPushPromise refuses a PUSH_PROMISE frame by its header. Whether it is
// allowed at all is for the connection to say.
//
// "If the Stream Identifier field specifies the value 0x00, a recipient MUST
// respond with a connection error (Section 5.4.1) of type PROTOCOL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.6
func checkPushPromise(h Header) *Error {
	need := uint32(promisedLen)
	if h.Flags.Has(FlagPadded) {
		need++
	}
	if h.Length < need && h.StreamID != 0 {
		return wrongLength(h, "4 at least, and 1 more with the PADDED flag")
	}
	return onStream(h)
}

func (r *Reader) parsePushPromise(f *Frame) *Error {
	if err := f.unpad(promisedLen); err != nil {
		return err
	}
	f.PromisedID = binary.BigEndian.Uint32(f.Payload) & streamMask
	f.Payload = f.Payload[promisedLen:]
	r.sequence(f)
	return nil
}

// AppendPushPromise appends a PUSH_PROMISE frame.
func AppendPushPromise(dst []byte, id, promised uint32, fragment []byte, endHeaders bool) []byte {
	if id == 0 || promised == 0 || promised > streamMask {
		panic("BUG: PUSH_PROMISE on or of a stream that cannot be")
	}
	var fl Flags
	if endHeaders {
		fl = FlagEndHeaders
	}
	dst = appendHeader(dst, promisedLen+len(fragment), TypePushPromise, fl, id)
	return append(binary.BigEndian.AppendUint32(dst, promised), fragment...)
}
