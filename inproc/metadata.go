package inproc

import (
	"cmp"
	"strings"

	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// faultf is how something ends for a reason found on this side.
func faultf(h2 transport.ErrCode, c codes.Code, format string, args ...any) *transport.StreamError {
	return &transport.StreamError{Code: h2, By: transport.ByLocal, Status: status.Newf(c, format, args...)}
}

// request gives the metadata of a call as the server sees it: a copy, with what
// gRPC itself adds on the way.
func (p *pipe) request(call *transport.Call) (metadata.MD, *transport.StreamError) {
	if err := grpcwire.ValidateMetadata(call.Metadata); err != nil {
		return nil, faultf(transport.CodeCancel, codes.Internal, "cannot send the call's metadata: %v", err)
	}
	md := make(metadata.MD, len(call.Metadata)+4)
	addReceived(md, call.Metadata)
	md[":authority"] = []string{cmp.Or(call.Authority, p.cc.Authority)}
	md["content-type"] = []string{grpcwire.ContentType(call.ContentSubtype)}
	md["user-agent"] = []string{p.cc.UserAgent}
	if accept := cmp.Or(call.AcceptEncoding, p.cc.AcceptEncoding); accept != "" {
		md["grpc-accept-encoding"] = []string{accept}
	}
	if limit := headerListLimit(&p.sc.ConnConfig); len(call.Metadata) > 0 {
		if size := listSize(md) + len(call.Method); size > limit {
			return nil, faultf(transport.CodeCancel, codes.Internal,
				"the call's header list is about %d octets, the server accepts %d (its option MaxHeaderListSize)", size, limit)
		}
	}
	return md, nil
}

// addReceived adds md to dst, as it is when it has been sent.
func addReceived(dst, md metadata.MD) {
	for k, vs := range md {
		if grpcwire.Reserved(k) || len(vs) == 0 {
			continue
		}
		to := append(make([]string, 0, len(dst[k])+len(vs)), dst[k]...)
		for _, v := range vs {
			if !grpcwire.IsBin(k) {
				v = strings.Trim(v, " ") // HTTP does not keep them, so nobody shall rely on it here
			}
			to = append(to, v)
		}
		dst[k] = to
	}
}

// listSize is the size of a header list as RFC 9113 §6.5.2 counts it.
func listSize(md metadata.MD) (n int) {
	for k, vs := range md {
		for _, v := range vs {
			n += len(k) + len(v) + 32
		}
	}
	return n
}

// checkMetadata says what is wrong with metadata that a handler wants to send.
func checkMetadata(md metadata.MD) error {
	if err := grpcwire.ValidateMetadata(md); err != nil {
		return faultf(transport.CodeNoError, codes.Internal, "cannot send the metadata: %v", err)
	}
	return nil
}

// headers gives the server's headers as the client sees them.
func (st *stream) headers() metadata.MD {
	md := make(metadata.MD, len(st.header)+2)
	addReceived(md, st.header)
	md["content-type"] = []string{grpcwire.ContentType(st.subtype)}
	if st.compress != "" {
		md["grpc-encoding"] = []string{st.compress}
	}
	return md
}

// trailers gives the status and the server's trailers as the client sees them.
// If there were no headers, they are one with these. What the client's limit
// does not allow is left out, the code never.
func (st *stream) trailers(end *status.Status) (*status.Status, metadata.MD) {
	md := make(metadata.MD, len(st.trailer)+2)
	if !st.headerSent {
		if len(st.header) > 0 {
			st.sendHeaderLocked()
		} else {
			md = st.headers()
		}
	}
	own := len(md)
	addReceived(md, st.trailer)
	if end == nil || end.Code() == codes.OK {
		if listSize(md) > headerListLimit(&st.p.cc.ConnConfig) {
			return nil, metadata.MD{}
		}
		return nil, md
	}
	var details string
	if p := end.Proto(); len(p.GetDetails()) > 0 {
		if b, err := proto.Marshal(p); err == nil {
			details = string(b)
			md["grpc-status-details-bin"] = []string{details}
		}
	}
	limit := headerListLimit(&st.p.cc.ConnConfig)
	size := func() int { return listSize(md) + len(end.Message()) + 100 }
	if size() > limit && len(md) > own {
		md = metadata.MD{}
		if details != "" {
			md["grpc-status-details-bin"] = []string{details}
		}
	}
	if size() > limit && details != "" {
		delete(md, "grpc-status-details-bin")
		end = status.New(end.Code(), end.Message())
	}
	if n := size() - limit; n > 0 {
		text := end.Message()
		end = status.New(end.Code(), strings.ToValidUTF8(text[:max(0, len(text)-n)], ""))
	}
	return end, md
}
