package grpcwire

import (
	"testing"

	"google.golang.org/grpc/codes"
)

func TestCodeFromHTTP(t *testing.T) {
	for http, want := range map[int]codes.Code{
		400: codes.Internal, 431: codes.Unknown, 401: codes.Unauthenticated, 403: codes.PermissionDenied, 404: codes.Unimplemented,
		429: codes.Unavailable, 502: codes.Unavailable, 503: codes.Unavailable, 504: codes.Unavailable,
		0: codes.Unknown, 200: codes.Unknown, 405: codes.Unknown, 415: codes.Unknown, 500: codes.Unknown, 418: codes.Unknown, 302: codes.Unknown,
	} {
		if got := CodeFromHTTP(http); got != want {
			t.Errorf("%d: %v, want %v", http, got, want)
		}
	}
}

func TestCodeFromHTTP2(t *testing.T) {
	for h2, want := range map[uint32]codes.Code{
		0: codes.Internal, 1: codes.Internal, 2: codes.Internal, 3: codes.Internal, 4: codes.Internal, 5: codes.Internal,
		6: codes.Internal, 7: codes.Unavailable, 8: codes.Canceled, 9: codes.Internal, 10: codes.Internal,
		11: codes.ResourceExhausted, 12: codes.PermissionDenied, 13: codes.Internal, 14: codes.Unknown, 255: codes.Unknown, 1 << 31: codes.Unknown, 1<<32 - 1: codes.Unknown,
	} {
		if got := CodeFromHTTP2(h2); got != want {
			t.Errorf("0x%x: %v, want %v", h2, got, want)
		}
	}
}
