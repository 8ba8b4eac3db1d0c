package grpcwire

import "google.golang.org/grpc/codes"

// CodeFromHTTP gives the code for the HTTP status of a response that says no
// grpc-status. It is for clients: if there is a grpc-status, that counts, and
// servers do not choose an HTTP status with this table. 200 is UNKNOWN, because
// a response that is in order has a grpc-status.
//
// https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
func CodeFromHTTP(status int) codes.Code {
	switch status {
	case 400: // Bad Request
		return codes.Internal
	case 401: // Unauthorized
		return codes.Unauthenticated
	case 403: // Forbidden
		return codes.PermissionDenied
	case 404: // Not Found
		return codes.Unimplemented
	case 429, 502, 503, 504: // Too Many Requests, Bad Gateway, Service Unavailable, Gateway Timeout
		return codes.Unavailable
	}
	return codes.Unknown
}

// CodeFromHTTP2 gives the code for a stream that the server reset with an
// HTTP/2 error code.
//
// The table has no code for STREAM_CLOSED, as there is "no open stream to
// propagate to", and leaves out HTTP_1_1_REQUIRED: a client that has the stream
// still open gets INTERNAL for both, as for other errors of the protocol. Error
// codes that HTTP/2 does not know are UNKNOWN.
//
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors
func CodeFromHTTP2(code uint32) codes.Code {
	if code < uint32(len(codesOfHTTP2)) {
		return codesOfHTTP2[code]
	}
	return codes.Unknown
}

// https://www.rfc-editor.org/rfc/rfc9113#section-7
var codesOfHTTP2 = [...]codes.Code{
	0x0: codes.Internal, // NO_ERROR: a grpc-status OK should have been sent
	0x1: codes.Internal, // PROTOCOL_ERROR
	0x2: codes.Internal, // INTERNAL_ERROR
	0x3: codes.Internal, // FLOW_CONTROL_ERROR
	0x4: codes.Internal, // SETTINGS_TIMEOUT
	0x5: codes.Internal, // STREAM_CLOSED
	0x6: codes.Internal, // FRAME_SIZE_ERROR

	0x7: codes.Unavailable, // REFUSED_STREAM: nothing was processed, it may be retried
	0x8: codes.Canceled,    // CANCEL

	0x9: codes.Internal, // COMPRESSION_ERROR
	0xa: codes.Internal, // CONNECT_ERROR

	0xb: codes.ResourceExhausted, // ENHANCE_YOUR_CALM: of bandwidth
	0xc: codes.PermissionDenied,  // INADEQUATE_SECURITY: the protocol is not secure enough for the call

	0xd: codes.Internal, // HTTP_1_1_REQUIRED
}
