// Package serverstream is what a transport.ServerStream has in common where no
// HTTP/2 of weir's own is beneath it.
package serverstream

import (
	"sync"

	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The errors of a handler that says something too late.
var (
	ErrHeaderSent = fault(codes.Internal, "the headers are sent already")
	ErrStatusSent = fault(codes.Internal, "the status is sent already")
	ErrReturned   = fault(codes.Canceled, "the handler has returned")
)

func fault(c codes.Code, text string) *transport.StreamError {
	return &transport.StreamError{By: transport.ByLocal, Status: status.New(c, text)}
}

// An Answer is what a handler says of its answer. A stream embeds it, and sends
// it in its own way. The zero value is an answer of which nothing is said.
type Answer struct {
	Mu sync.Mutex // guards the rest, and what the stream puts beneath it
	// HeaderSent and StatusSent are for the stream to set.
	HeaderSent, StatusSent bool
	Headers, Trailers      metadata.MD // as far as they are set
	Compress               string      // grpc-encoding
}

// SetHeader adds metadata to the headers.
func (a *Answer) SetHeader(md metadata.MD) error {
	if err := CheckMetadata(md); err != nil {
		return err
	}
	a.Mu.Lock()
	defer a.Mu.Unlock()
	if a.HeaderSent || a.StatusSent {
		return ErrHeaderSent
	}
	a.Headers = metadata.Join(a.Headers, md)
	return nil
}

// SetTrailer adds metadata to what goes with the status.
func (a *Answer) SetTrailer(md metadata.MD) error {
	if err := CheckMetadata(md); err != nil {
		return err
	}
	a.Mu.Lock()
	defer a.Mu.Unlock()
	if a.StatusSent {
		return ErrStatusSent
	}
	a.Trailers = metadata.Join(a.Trailers, md)
	return nil
}

// Header gives a copy of the metadata of the headers.
func (a *Answer) Header() metadata.MD {
	a.Mu.Lock()
	defer a.Mu.Unlock()
	return a.Headers.Copy()
}

// Trailer gives a copy of the metadata that goes with the status.
func (a *Answer) Trailer() metadata.MD {
	a.Mu.Lock()
	defer a.Mu.Unlock()
	return a.Trailers.Copy()
}

// SetSendCompress makes name the grpc-encoding of the answer.
func (a *Answer) SetSendCompress(name string) error {
	a.Mu.Lock()
	defer a.Mu.Unlock()
	if a.HeaderSent || a.StatusSent {
		return ErrHeaderSent
	}
	a.Compress = name
	return nil
}

// SendCompress gives the grpc-encoding of the answer.
func (a *Answer) SendCompress() string {
	a.Mu.Lock()
	defer a.Mu.Unlock()
	return a.Compress
}

// CheckMetadata says what is wrong with metadata that a handler wants to send.
func CheckMetadata(md metadata.MD) error {
	if err := grpcwire.ValidateMetadata(md); err != nil {
		return fault(codes.Internal, "cannot send the metadata: "+err.Error())
	}
	return nil
}
