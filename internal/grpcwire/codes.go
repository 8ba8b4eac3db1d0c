package grpcwire

import (
	"google.golang.org/grpc/codes"
)

// CodeFromHTTP gives the code for an HTTP status that came without a
// grpc-status.
//
// https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
func CodeFromHTTP(status int) codes.Code {
	switch status {
	case 400:
		return codes.Internal
	case 401:
		return codes.Unauthenticated
	case 403:
		return codes.PermissionDenied
	case 404:
		return codes.Unimplemented
	case 429, 502, 503, 504:
		return codes.Unavailable
	}
	return codes.Unknown
}

// CodeFromHTTP2 gives the code for a stream that was reset with an HTTP/2 error
// code. Codes that the table does not name are UNKNOWN.
//
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors
func CodeFromHTTP2(code uint32) codes.Code {
	switch code {
	case 0x0, 0x1, 0x2, 0x3, 0x4, 0x5, 0x6, 0x9, 0xa, 0xd:
		// NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR,
		// SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, COMPRESSION_ERROR,
		// CONNECT_ERROR, HTTP_1_1_REQUIRED
		return codes.Internal
	case 0x7: // REFUSED_STREAM: nothing was processed
		return codes.Unavailable
	case 0x8: // CANCEL
		return codes.Canceled
	case 0xb: // ENHANCE_YOUR_CALM
		return codes.ResourceExhausted
	case 0xc: // INADEQUATE_SECURITY
		return codes.PermissionDenied
	}
	return codes.Unknown
}
