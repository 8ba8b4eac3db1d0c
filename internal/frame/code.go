package frame

import "fmt"

// An ErrCode says why a stream or a connection ended. It is deliberately not
// an error.
// https://www.rfc-editor.org/rfc/rfc9113#section-7
type ErrCode uint32

// The codes of RFC 9113.
const (
	CodeNoError ErrCode = iota
	CodeProtocol
	CodeInternal
	CodeFlowControl
	CodeSettingsTimeout
	CodeStreamClosed
	CodeFrameSize
	CodeRefusedStream
	CodeCancel
	CodeCompression
	CodeConnect
	CodeEnhanceYourCalm
	CodeInadequateSecurity
	CodeHTTP11Required
)

// Codes is how many there are. They are consecutive.
const Codes = 14

var codeNames = [Codes]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
	"STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
	"CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

// String gives the RFC's name.
func (c ErrCode) String() string {
	if int64(c) < int64(len(codeNames)) {
		return codeNames[c]
	}
	return fmt.Sprintf("ErrCode(0x%x)", uint32(c))
}

// An Error is what a peer got wrong: on one stream, or, if StreamID is 0, for
// the whole connection.
type Error struct {
	Code     ErrCode
	StreamID uint32
	Reason   string
}

// Error tells code, scope and reason.
func (e *Error) Error() string {
	if e.StreamID == 0 {
		return fmt.Sprintf("%v: %s", e.Code, e.Reason)
	}
	return fmt.Sprintf("%v on stream %d: %s", e.Code, e.StreamID, e.Reason)
}

func connError(code ErrCode, format string, args ...any) *Error {
	return &Error{Code: code, Reason: fmt.Sprintf(format, args...)}
}
