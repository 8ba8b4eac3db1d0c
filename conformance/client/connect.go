package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/conformance/internal/conformancepb"
)

// connect makes a client for one call, so that no call depends on another's
// connection.
func connect(req *conformancepb.ClientCompatRequest) (*weir.Client, error) {
	switch {
	case req.Protocol != conformancepb.Protocol_PROTOCOL_GRPC:
		return nil, fmt.Errorf("the runner asks for %v, and this client speaks PROTOCOL_GRPC", req.Protocol)
	case req.HttpVersion != conformancepb.HTTPVersion_HTTP_VERSION_2:
		return nil, fmt.Errorf("the runner asks for %v, and this client speaks HTTP_VERSION_2", req.HttpVersion)
	case req.Codec != conformancepb.Codec_CODEC_PROTO:
		return nil, fmt.Errorf("the runner asks for %v, and this client has CODEC_PROTO", req.Codec)
	case req.RawRequest != nil:
		return nil, errors.New("the request has a raw_request, which is for the suite's own client alone")
	}
	var opts []grpc.CallOption
	switch req.Compression {
	case conformancepb.Compression_COMPRESSION_UNSPECIFIED, conformancepb.Compression_COMPRESSION_IDENTITY:
	case conformancepb.Compression_COMPRESSION_GZIP:
		opts = append(opts, grpc.UseCompressor(gzip.Name))
	default:
		return nil, fmt.Errorf("the runner asks for %v, and this client has COMPRESSION_GZIP", req.Compression)
	}
	if req.MessageReceiveLimit > 0 {
		opts = append(opts, grpc.MaxCallRecvMsgSize(int(req.MessageReceiveLimit)))
	}
	creds, err := transportCredentials(req)
	if err != nil {
		return nil, err
	}
	return weir.NewClient(net.JoinHostPort(req.Host, strconv.FormatUint(uint64(req.Port), 10)),
		weir.WithTransportCredentials(creds), weir.WithDefaultCallOptions(opts...))
}

func transportCredentials(req *conformancepb.ClientCompatRequest) (credentials.TransportCredentials, error) {
	if len(req.ServerTlsCert) == 0 {
		return insecure.NewCredentials(), nil
	}
	cfg := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if !cfg.RootCAs.AppendCertsFromPEM(req.ServerTlsCert) {
		return nil, errors.New("the server's certificate from the runner is not PEM")
	}
	if own := req.ClientTlsCreds; own != nil {
		cert, err := tls.X509KeyPair(own.Cert, own.Key)
		if err != nil {
			return nil, fmt.Errorf("the client's certificate from the runner: %w", err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return credentials.NewTLS(cfg), nil
}
