package frame

import "encoding/binary"

func (f *Frame) parsePushPromise() *Error {
	if err := f.unpad(); err != nil {
		return err
	}
	if len(f.Payload) < 4 {
		return connError(CodeFrameSize, "PUSH_PROMISE of %d octets without padding", len(f.Payload))
	}
	f.PromisedID = binary.BigEndian.Uint32(f.Payload) & streamMask
	f.Payload = f.Payload[4:]
	return nil
}

// AppendPushPromise appends a PUSH_PROMISE frame.
func AppendPushPromise(dst []byte, id, promised uint32, fragment []byte, endHeaders bool) []byte {
	if promised == 0 || promised > streamMask {
		panic("BUG: PUSH_PROMISE of a stream that cannot be")
	}
	var fl Flags
	if endHeaders {
		fl = FlagEndHeaders
	}
	return appendPadded(dst, TypePushPromise, fl, id, binary.BigEndian.AppendUint32(nil, promised), fragment, -1)
}
