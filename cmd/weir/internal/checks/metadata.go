package checks

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/weir-rpc/weir/cmd/weir/internal/demopb"
	"github.com/weir-rpc/weir/cmd/weir/internal/gauge"
)

// roundTripMetadata sends a key with two values and one with octets that no
// header field may hold, and wants both back twice.
func roundTripMetadata(ctx context.Context, s *Station) error {
	sent := metadata.MD{
		"demo-text":  {"first value", "second value"},
		"demo-trace": {""},
		"demo-bin":   {"\x00\xff\r\n,;=\x80", ""},
	}
	outgoing := sent.Copy()
	outgoing.Set(gauge.EchoKey, slices.Collect(maps.Keys(sent))...)
	var header, trailer metadata.MD
	_, err := s.client.Read(metadata.NewOutgoingContext(ctx, outgoing),
		&demopb.ReadRequest{Station: station}, grpc.Header(&header), grpc.Trailer(&trailer))
	if err := wantReply("Read with metadata", err); err != nil {
		return err
	}
	for key, values := range sent {
		for _, back := range []struct {
			place, key string
			got        []string
		}{
			{"header", gauge.HeaderPrefix + key, header[gauge.HeaderPrefix+key]},
			{"trailer", gauge.TrailerPrefix + key, trailer[gauge.TrailerPrefix+key]},
		} {
			if !slices.Equal(values, back.got) {
				return &MismatchError{
					fmt.Sprintf("%s of the %s", back.key, back.place),
					fmt.Sprintf("%q", values), fmt.Sprintf("%q", back.got),
				}
			}
		}
	}
	return nil
}

func statusWithDetails(ctx context.Context, s *Station) error {
	_, err := s.client.Read(ctx, &demopb.ReadRequest{})
	const call = "Read without a station"
	if err := wantCode(call, err, codes.InvalidArgument); err != nil {
		return err
	}
	st := status.Convert(err)
	if err := wantEqual("the message of its status", gauge.NoStation, st.Message()); err != nil {
		return err
	}
	details := st.Details()
	if err := wantEqual("the number of its details", 1, len(details)); err != nil {
		return err
	}
	got, ok := details[0].(proto.Message)
	if !ok {
		return &MismatchError{"the detail", "a google.rpc.BadRequest", fmt.Sprint(details[0])}
	}
	return wantMessage("the detail", gauge.Details(), got)
}
