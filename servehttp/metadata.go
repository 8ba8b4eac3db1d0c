package servehttp

import (
	"net/http"
	"strings"

	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// requestMetadata gives the metadata of a request: all but what gRPC itself
// says with it.
func requestMetadata(r *http.Request) metadata.MD {
	md := make(metadata.MD, len(r.Header)+1)
	md[":authority"] = []string{r.Host}
	for k, vs := range r.Header {
		k = strings.ToLower(k)
		switch k {
		case "content-type", "user-agent", "grpc-accept-encoding":
		default:
			if grpcwire.Reserved(k) {
				continue
			}
		}
		if !grpcwire.IsBin(k) {
			md[k] = append(md[k], vs...)
			continue
		}
		for _, v := range vs {
			md[k], _ = grpcwire.AppendBin(md[k], v)
		}
	}
	return md
}

// addMetadata adds metadata to what net/http sends, each key with a prefix.
func addMetadata(h http.Header, prefix string, md metadata.MD) {
	for k, vs := range md {
		if grpcwire.Reserved(k) {
			continue
		}
		bin := grpcwire.IsBin(k)
		k = prefix + http.CanonicalHeaderKey(k)
		for _, v := range vs {
			if bin {
				v = grpcwire.EncodeBin(v)
			} else {
				// "A field value MUST NOT start or end with an ASCII whitespace
				// character". gRPC does not keep it.
				// https://www.rfc-editor.org/rfc/rfc9113#section-8.2.1
				v = strings.Trim(v, " ")
			}
			h[k] = append(h[k], v)
		}
	}
}

// faultf is how something ends for a reason found on this side.
func faultf(c codes.Code, format string, args ...any) *transport.StreamError {
	return &transport.StreamError{By: transport.ByLocal, Status: status.Newf(c, format, args...)}
}
