package transport

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-rpc/weir/internal/field"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// response is a header list of a server: its headers or its trailers.
type response struct {
	memo        *field.Memo
	rest        []field.Field // a copy
	httpStatus  string
	contentType string
	length      contentLength
	encoding    string
	grpcStatus  string
	message     string
	details     string
	fault       string // what is malformed, or empty
	regular     bool   // a regular field has been seen
}

// parseResponse reads a header list. What it found out about fields that recur
// it keeps with them, so the response is shared: nobody may change it.
func parseResponse(l *field.List) *response {
	var base response
	if l.Memo != nil {
		known, ok := l.Memo.Parsed.(*response)
		if !ok {
			known = &response{memo: l.Memo}
			for _, f := range l.Memo.Fields {
				known.add(f)
			}
			l.Memo.Parsed = known
		}
		if len(l.Rest) == 0 {
			return known
		}
		base = *known
	}
	r := new(response)
	*r = base
	for _, f := range l.Rest {
		r.add(f)
	}
	if slices.ContainsFunc(l.Rest, isCustom) {
		r.rest = slices.Clone(l.Rest)
	}
	return r
}

// noResponse is a response that has not come.
var noResponse response

// isCustom reports whether a field belongs into the metadata of the call.
func isCustom(f field.Field) bool {
	switch f.Name {
	case "grpc-status", "grpc-message", "grpc-encoding", "grpc-message-type", "grpc-timeout", "te":
		return false
	}
	return !strings.HasPrefix(f.Name, ":")
}

func (r *response) add(f field.Field) {
	if fault := fieldFault(f); fault != "" {
		r.malformed(fault)
	}
	if strings.HasPrefix(f.Name, ":") {
		switch {
		case r.regular:
			r.malformed("a pseudo-header field after a regular one: " + f.Name)
		case f.Name != ":status" || r.httpStatus != "":
			r.malformed("an unexpected pseudo-header field: " + f.Name)
		default:
			r.httpStatus = f.Value
		}
		return
	}
	r.regular = true
	switch f.Name {
	case "content-type":
		r.contentType = f.Value
	case "content-length":
		if fault := r.length.parse(f.Value); fault != "" {
			r.malformed(fault)
		}
	case "grpc-encoding":
		r.encoding = f.Value
	case "grpc-status":
		r.grpcStatus = f.Value
	case "grpc-message":
		r.message = f.Value
	case "grpc-status-details-bin":
		r.details = f.Value
	}
}

func (r *response) malformed(what string) {
	if r.fault == "" {
		r.fault = what
	}
}

// informational reports whether the headers are a 1xx response, after which
// the real one comes.
func (r *response) informational() bool {
	return len(r.httpStatus) == 3 && r.httpStatus[0] == '1' && r.fault == ""
}

// maxInformational is how many of them a call takes.
const maxInformational = 16

// foreign says what the headers of a response are if they are not gRPC's, or
// gives "". The mapping of HTTP codes is
// https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
func (r *response) foreign() (code codes.Code, what string) {
	http, _ := strconv.Atoi(r.httpStatus) // as check has found
	if _, ok := grpcwire.ParseContentType(r.contentType); http == 200 && ok {
		return codes.OK, ""
	}
	return grpcwire.CodeFromHTTP(http), fmt.Sprintf("the server's answer is not gRPC: HTTP status %d, content-type %q", http, r.contentType)
}

// check says what is wrong with the headers of a response, or nil.
func (r *response) check(end bool) *StreamError {
	if r.fault != "" {
		return localErrorf(CodeProtocol, codes.Internal, "the server sent malformed headers: %s", r.fault)
	}
	if end && r.grpcStatus != "" {
		return nil // trailers only: the status counts, whatever HTTP says
	}
	if _, err := strconv.ParseUint(r.httpStatus, 10, 16); err != nil || len(r.httpStatus) != 3 {
		return localErrorf(CodeProtocol, codes.Internal, "the server sent malformed headers: :status is %q", r.httpStatus)
	}
	if !end {
		return nil // foreign is asked next
	}
	if code, what := r.foreign(); what != "" {
		return localErrorf(CodeCancel, code, "%s", what)
	}
	return nil
}

// status gives the status of trailers.
func (r *response) status() (*status.Status, *StreamError) {
	if r.fault != "" {
		return nil, localErrorf(CodeProtocol, codes.Internal, "the server sent malformed trailers: %s", r.fault)
	}
	if r.grpcStatus == "0" && r.details == "" {
		return nil, nil
	}
	if r.grpcStatus == "" {
		if http, err := strconv.Atoi(r.httpStatus); err == nil && http != 200 {
			return status.Newf(grpcwire.CodeFromHTTP(http), "the server's answer is not gRPC: HTTP status %d, content-type %q", http, r.contentType), nil
		}
		// "200 is UNKNOWN because there should be a grpc-status in case of truly OK
		// response."
		// https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
		return nil, localErrorf(CodeCancel, codes.Unknown, "the server ended the stream without a grpc-status")
	}
	code, ok := grpcwire.ParseCode(r.grpcStatus)
	if !ok {
		return status.Newf(codes.Unknown, "the server sent a malformed grpc-status: %q", r.grpcStatus), nil
	}
	return grpcwire.DecodeStatus(code, grpcwire.DecodeMessage(r.message), r.details), nil
}

// metadata gives the fields that the application may see. The content-type is
// among them, as with grpc-go.
func (r *response) metadata() metadata.MD {
	md := metadata.MD{}
	if r == nil {
		return md
	}
	add := func(f field.Field) {
		if isCustom(f) {
			appendMetadata(md, f)
		}
	}
	if r.memo != nil {
		for _, f := range r.memo.Fields {
			add(f)
		}
	}
	for _, f := range r.rest {
		add(f)
	}
	return md
}

// appendMetadata adds a field to md, its value decoded. A -bin value that is
// not base64 is left out.
func appendMetadata(md metadata.MD, f field.Field) {
	if !grpcwire.IsBin(f.Name) {
		md[f.Name] = append(md[f.Name], f.Value)
		return
	}
	md[f.Name], _ = grpcwire.AppendBin(md[f.Name], f.Value)
}

func internalStatus(text string) *status.Status { return status.New(codes.Internal, text) }
