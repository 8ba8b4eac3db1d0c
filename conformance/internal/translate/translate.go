// Package translate turns metadata and statuses of gRPC into the messages in
// which the conformance suite writes them, and back.
package translate

import (
	"encoding/base64"
	"slices"
	"strings"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weir-rpc/weir/conformance/internal/conformancepb"
)

// Headers gives the suite's form of md, in the order of the names. The values
// of names that end in -bin are in base64 without padding there.
func Headers(md metadata.MD) []*conformancepb.Header {
	headers := make([]*conformancepb.Header, 0, len(md))
	for name, values := range md {
		if binary(name) {
			values = slices.Clone(values)
			for i, v := range values {
				values[i] = base64.RawStdEncoding.EncodeToString([]byte(v))
			}
		}
		headers = append(headers, &conformancepb.Header{Name: name, Value: values})
	}
	slices.SortFunc(headers, func(a, b *conformancepb.Header) int { return strings.Compare(a.Name, b.Name) })
	return headers
}

// Metadata gives what the suite's headers say. A value that should be base64
// and is not stays as it is.
func Metadata(headers []*conformancepb.Header) metadata.MD {
	md := make(metadata.MD, len(headers))
	for _, h := range headers {
		name := strings.ToLower(h.Name)
		for _, v := range h.Value {
			if binary(name) {
				if b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(v, "=")); err == nil {
					v = string(b)
				}
			}
			md.Append(name, v)
		}
	}
	return md
}

func binary(name string) bool { return strings.HasSuffix(name, "-bin") }

// Error gives the suite's form of the status of an RPC, and nil for nil.
func Error(err error) *conformancepb.Error {
	if err == nil {
		return nil
	}
	s := status.Convert(err).Proto()
	return &conformancepb.Error{Code: conformancepb.Code(s.Code), Message: &s.Message, Details: s.Details}
}

// Status gives the error that an RPC ends with if the suite wants e.
func Status(e *conformancepb.Error) error {
	if e == nil {
		return nil
	}
	return status.ErrorProto(&spb.Status{Code: int32(e.Code), Message: e.GetMessage(), Details: e.Details})
}
