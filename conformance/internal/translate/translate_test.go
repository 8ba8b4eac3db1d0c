package translate

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/weir-rpc/weir/conformance/internal/conformancepb"
)

func TestHeadersAndMetadata(t *testing.T) {
	for _, tt := range []struct {
		name    string
		md      metadata.MD
		headers []*conformancepb.Header
	}{
		{"none", metadata.MD{}, nil},
		{"values keep their order", metadata.MD{"a": {"2", "1", "2"}}, []*conformancepb.Header{{Name: "a", Value: []string{"2", "1", "2"}}}},
		{"octets", metadata.MD{"x-bin": {"\xff", "\x00\x01\x02"}}, []*conformancepb.Header{{Name: "x-bin", Value: []string{"/w", "AAEC"}}}},
		{"names have an order", metadata.MD{"b": {""}, "a-bin": {""}}, []*conformancepb.Header{{Name: "a-bin", Value: []string{""}}, {Name: "b", Value: []string{""}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.md.Copy()
			want := &conformancepb.ClientResponseResult{ResponseHeaders: tt.headers}
			got := &conformancepb.ClientResponseResult{ResponseHeaders: Headers(tt.md)}
			if !proto.Equal(got, want) {
				t.Errorf("headers %v, want %v", got, want)
			}
			sameMetadata(t, tt.md, before)
			sameMetadata(t, Metadata(tt.headers), tt.md)
		})
	}
}

// The suite writes names in mixed case, and base64 with and without padding.
func TestMetadataOfOddHeaders(t *testing.T) {
	got := Metadata([]*conformancepb.Header{
		{Name: "X-Mixed-Case", Value: []string{"V"}},
		{Name: "x-mixed-case", Value: []string{"w"}},
		{Name: "x-padded-Bin", Value: []string{"/w=="}},
		{Name: "x-plain-bin", Value: []string{"no base64!"}},
	})
	sameMetadata(t, got, metadata.MD{"x-mixed-case": {"V", "w"}, "x-padded-bin": {"\xff"}, "x-plain-bin": {"no base64!"}})
}

func sameMetadata(t *testing.T, got, want metadata.MD) {
	t.Helper()
	if !proto.Equal(
		&conformancepb.ClientResponseResult{ResponseHeaders: Headers(got)},
		&conformancepb.ClientResponseResult{ResponseHeaders: Headers(want)},
	) {
		t.Errorf("metadata %q, want %q", got, want)
	}
}

func TestErrorAndStatus(t *testing.T) {
	detail, err := anypb.New(new(emptypb.Empty))
	if err != nil {
		t.Fatal(err)
	}
	detailed, err := status.New(codes.DataLoss, "gone").WithDetails(new(emptypb.Empty))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		err  error
		want *conformancepb.Error
		back codes.Code
	}{
		{"none", nil, nil, codes.OK},
		{"status", status.Error(codes.Aborted, "no"), &conformancepb.Error{Code: conformancepb.Code_CODE_ABORTED, Message: new("no")}, codes.Aborted},
		{"details", detailed.Err(), &conformancepb.Error{Code: conformancepb.Code_CODE_DATA_LOSS, Message: new("gone"), Details: []*anypb.Any{detail}}, codes.DataLoss},
		{"no status", errors.New("odd"), &conformancepb.Error{Code: conformancepb.Code_CODE_UNKNOWN, Message: new("odd")}, codes.Unknown},
		{"the context's error is no status", context.Canceled, &conformancepb.Error{Code: conformancepb.Code_CODE_UNKNOWN, Message: new("context canceled")}, codes.Unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Error(tt.err)
			if (got == nil) != (tt.want == nil) || got != nil && !proto.Equal(got, tt.want) {
				t.Fatalf("error %v, want %v", got, tt.want)
			}
			back := Status(got)
			if status.Code(back) != tt.back || back != nil && !proto.Equal(Error(back), tt.want) {
				t.Errorf("status %v, want %v", back, tt.err)
			}
		})
	}
}
