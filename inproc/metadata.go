package inproc

import (
	"cmp"
	"maps"
	"strings"

	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// faultf is how something ends for a reason found on this side.
func faultf(c codes.Code, format string, args ...any) *transport.StreamError {
	return &transport.StreamError{Code: transport.CodeCancel, By: transport.ByLocal, Status: status.Newf(c, format, args...)}
}

// known is the metadata of calls and answers that have none of their own. It is
// shared, and so nobody may change it. Guarded by pipe.mu.
type known struct {
	request    requestKey
	requestMD  metadata.MD
	subtype    string
	responseMD metadata.MD
}

type requestKey struct{ authority, subtype, accept string }

// request gives the metadata of a call as the server sees it: a copy, with what
// gRPC itself adds on the way.
func (p *pipe) request(call *transport.Call) (metadata.MD, *transport.StreamError) {
	shared := p.knownRequest(requestKey{
		cmp.Or(call.Authority, p.cc.Authority), call.ContentSubtype, cmp.Or(call.AcceptEncoding, p.cc.AcceptEncoding),
	})
	if len(call.Metadata) == 0 {
		return shared, nil
	}
	if err := grpcwire.ValidateMetadata(call.Metadata); err != nil {
		return nil, faultf(codes.Internal, "cannot send the call's metadata: %v", err)
	}
	md := make(metadata.MD, len(call.Metadata)+len(shared))
	addReceived(md, call.Metadata)
	maps.Copy(md, shared)
	limit := headerListLimit(&p.sc.ConnConfig)
	if size := listSize(md) + len(call.Method); size > limit {
		return nil, faultf(codes.Internal,
			"the call's header list is about %d octets, the server accepts %d (its option MaxHeaderListSize)", size, limit)
	}
	return md, nil
}

// knownRequest gives what gRPC itself says with a call.
func (p *pipe) knownRequest(key requestKey) metadata.MD {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := &p.known
	if k.requestMD == nil || k.request != key {
		md := metadata.MD{
			":authority":   {key.authority},
			"content-type": {grpcwire.ContentType(key.subtype)},
			"user-agent":   {p.cc.UserAgent},
		}
		if key.accept != "" {
			md["grpc-accept-encoding"] = []string{key.accept}
		}
		k.request, k.requestMD = key, md
	}
	return k.requestMD
}

// knownResponse gives what gRPC itself says with an answer.
func (p *pipe) knownResponse(subtype string) metadata.MD {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := &p.known
	if k.responseMD == nil || k.subtype != subtype {
		k.subtype, k.responseMD = subtype, metadata.MD{"content-type": {grpcwire.ContentType(subtype)}}
	}
	return k.responseMD
}

// noMD is the metadata of an answer that has none.
var noMD = metadata.MD{}

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

// headers gives the server's headers as the client sees them.
func (st *stream) headers() metadata.MD {
	if len(st.Headers) == 0 {
		return st.responseMD
	}
	md := make(metadata.MD, len(st.Headers)+1)
	addReceived(md, st.Headers)
	maps.Copy(md, st.responseMD)
	return md
}

// trailers gives the status and the server's trailers as the client sees them.
// If there were no headers, they are one with these. What the client's limit
// does not allow is left out, the code never.
func (st *stream) trailers(end *status.Status) (*status.Status, metadata.MD) {
	if !st.HeaderSent && len(st.Headers) > 0 {
		st.sendHeaderLocked()
	}
	ok := end == nil || end.Code() == codes.OK
	if ok && st.HeaderSent && len(st.Trailers) == 0 {
		return nil, noMD
	}
	md := make(metadata.MD, len(st.Trailers)+2)
	if !st.HeaderSent {
		maps.Copy(md, st.headers())
	}
	addReceived(md, st.Trailers)
	limit := headerListLimit(&st.p.cc.ConnConfig)
	if ok {
		if listSize(md) > limit {
			md = noMD
		}
		return nil, md
	}
	return fitStatus(end, md, limit)
}

// fitStatus adds the details of a status to md, and makes both fit a header
// list of limit octets: first without the metadata, then without the details,
// then with the beginning of the message.
func fitStatus(end *status.Status, md metadata.MD, limit int) (*status.Status, metadata.MD) {
	const details = "grpc-status-details-bin"
	size := func() int { return listSize(md) + len(end.Message()) + 100 }
	var encoded []string
	if p := end.Proto(); len(p.GetDetails()) > 0 {
		if b, err := proto.Marshal(p); err == nil {
			encoded = []string{string(b)}
			md[details] = encoded
		}
	}
	if size() > limit {
		md = metadata.MD{}
		if encoded != nil {
			md[details] = encoded
		}
	}
	if size() > limit {
		md = metadata.MD{}
		end = status.New(end.Code(), end.Message())
	}
	if n := size() - limit; n > 0 {
		text := end.Message()
		end = status.New(end.Code(), strings.ToValidUTF8(text[:max(0, len(text)-n)], ""))
	}
	return end, md
}
