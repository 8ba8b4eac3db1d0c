package checks

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // the gzip check asks for it by name

	"github.com/weir-rpc/weir/cmd/weir/internal/demopb"
	"github.com/weir-rpc/weir/cmd/weir/internal/peers"
)

const (
	mebibyte = 1 << 20

	// A 16th is what both directions of the compressed call may take on the
	// wire, each. What is sent shrinks a thousandfold.
	compressedWire = mebibyte / 16
)

// largeMessage sends octets that have no pattern, so that a lost, doubled or
// misplaced piece shows.
func largeMessage(ctx context.Context, s *Station) error {
	client, hangUp, err := s.dial(s.address,
		grpc.MaxCallRecvMsgSize(peers.MaxMessage), grpc.MaxCallSendMsgSize(peers.MaxMessage))
	if err != nil {
		return err
	}
	defer hangUp()
	trace := make([]byte, 20*mebibyte)
	_, _ = rand.NewChaCha8([32]byte{}).Read(trace) // never fails
	got, err := client.Read(ctx, &demopb.ReadRequest{Station: station, Trace: trace})
	if err := wantReply("Read of 20 MiB", err); err != nil {
		return err
	}
	return wantOctets("the trace", trace, got.GetTrace())
}

// messageLimit has the client refuse a reply that the server may send.
func messageLimit(ctx context.Context, s *Station) error {
	_, err := s.client.Read(ctx, &demopb.ReadRequest{Station: station, Trace: make([]byte, 5*mebibyte)})
	if err := wantCode("Read of 5 MiB at the default limit", err, codes.ResourceExhausted); err != nil {
		return err
	}
	return unary(ctx, s) // the connection goes on
}

// compressed calls over a relay that counts octets.
func compressed(ctx context.Context, s *Station) error {
	wire, err := newRelay(ctx, s.address)
	if err != nil {
		return err
	}
	defer wire.Close()
	client, hangUp, err := s.dial(wire.Address(), grpc.UseCompressor("gzip"))
	if err != nil {
		return err
	}
	defer hangUp()
	trace := bytes.Repeat([]byte("high water\n"), mebibyte/11)
	got, err := client.Read(ctx, &demopb.ReadRequest{Station: station, Trace: trace})
	if err := wantReply("Read with gzip", err); err != nil {
		return err
	}
	if err := wantOctets("the trace", trace, got.GetTrace()); err != nil {
		return err
	}
	for _, way := range []struct {
		what   string
		octets int64
	}{
		{"the request", wire.toServer.Load()},
		{"the reply", wire.toClient.Load()},
	} {
		if way.octets > compressedWire {
			return &MismatchError{
				fmt.Sprintf("%s of %d octets on the wire", way.what, len(trace)),
				fmt.Sprintf("at most %d octets", compressedWire),
				strconv.FormatInt(way.octets, 10),
			}
		}
	}
	return nil
}
