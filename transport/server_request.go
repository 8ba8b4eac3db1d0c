package transport

import (
	"slices"
	"strings"

	"github.com/weir-rpc/weir/internal/field"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
)

// request is a header list of a client. Those whose fields recur share one, so
// nobody may change it but the reader, as said below.
type request struct {
	method    string // :method
	path      string
	scheme    string
	authority string
	host      string
	hosts     int
	pseudo    pseudoFields // those that have come

	contentType    string
	contentSubtype string
	encoding       string
	acceptEncoding string
	timeout        string // grpc-timeout
	hasTimeout     bool
	length         contentLength

	md      metadata.MD
	custom  bool // metadata is in the fields that do not recur
	regular bool
	broken  string   // what makes the request malformed (a stream error), or empty
	absent  string   // the pseudo-header field that is missing, or empty
	refusal *refusal // why no handler may see it, or nil

	// Owned by the reader.
	unary bool  // what ServerConfig.Unary says of path
	asked bool  // it was asked
	calls uint8 // how often the request came, up to suspectCalls
}

// suspectCalls is how many calls of a method are watched closely.
const suspectCalls = 8

// parseRequest reads a header list, of which the grpc-timeout is told apart: it
// changes with each call where nothing else does. What it found out about
// fields that recur it keeps with them.
func parseRequest(l *field.List) (r *request, timeout string, timed bool) {
	var base request
	if l.Memo != nil {
		known, ok := l.Memo.Parsed.(*request)
		if !ok {
			known = new(request)
			known.addAll(l.Memo.Fields)
			known.check()
			l.Memo.Parsed = known
		}
		known.calls = min(known.calls+1, suspectCalls)
		switch {
		case len(l.Rest) == 0:
			return known, known.timeout, known.hasTimeout
		case len(l.Rest) == 1 && l.Rest[0].Name == "grpc-timeout":
			return known, l.Rest[0].Value, true
		}
		base = *known
		base.custom = false
	}
	r = new(request)
	*r = base
	r.addAll(l.Rest)
	r.check()
	return r, r.timeout, r.hasTimeout
}

// addAll adds the fields, and their metadata.
func (r *request) addAll(fields []field.Field) {
	for _, f := range fields {
		r.add(f)
	}
	if !r.custom && r.md != nil {
		return
	}
	shared := r.md
	r.md = make(metadata.MD, len(shared)+len(fields))
	for k, v := range shared {
		r.md[k] = slices.Clip(v)
	}
	for _, f := range fields {
		if requestMetadata(f.Name) {
			appendMetadata(r.md, f)
		}
	}
	if r.authority == "" && r.host != "" {
		// As gRFC A41 has it: who asks for :authority need not look for host.
		// https://github.com/grpc/proposal/blob/master/A41-xds-rbac.md
		r.md[":authority"] = []string{r.host}
	}
}

// requestMetadata reports whether a field belongs into the metadata of the
// call: all but what gRPC itself says with it. The content-type and the
// user-agent are among them, as with grpc-go.
func requestMetadata(name string) bool {
	switch name {
	case ":authority", "content-type", "user-agent", "grpc-accept-encoding", "grpc-previous-rpc-attempts", "grpc-retry-pushback-ms":
		return true
	case "host", "te":
		return false
	}
	return !strings.HasPrefix(name, ":") && !grpcwire.Reserved(name)
}

func (r *request) add(f field.Field) {
	if fault := fieldFault(f); fault != "" {
		r.malformed(fault)
	}
	if strings.HasPrefix(f.Name, ":") {
		r.addPseudo(f)
		return
	}
	r.regular = true
	switch f.Name {
	case "content-type":
		if r.contentType == "" {
			r.contentType = f.Value
		}
		r.custom = true
	case "te":
		if f.Value != "trailers" {
			// "The only exception to this is the TE header field, which MAY be present
			// in an HTTP/2 request; when it is, it MUST NOT contain any value other
			// than "trailers"."
			// https://www.rfc-editor.org/rfc/rfc9113#section-8.2.2
			r.malformed("te is not trailers")
		}
	case "host":
		r.hosts++
		r.host, r.custom = f.Value, true
	case "content-length":
		if fault := r.length.parse(f.Value); fault != "" {
			r.malformed(fault)
		}
	case "grpc-encoding":
		r.encoding = f.Value
	case "grpc-accept-encoding":
		r.acceptEncoding, r.custom = f.Value, true
	case "grpc-timeout":
		r.timeout, r.hasTimeout = f.Value, true
	default:
		r.custom = r.custom || requestMetadata(f.Name)
	}
}

func (r *request) addPseudo(f field.Field) {
	if r.regular {
		// "All pseudo-header fields MUST appear in a field block before all regular
		// field lines."
		// https://www.rfc-editor.org/rfc/rfc9113#section-8.3
		r.malformed("a pseudo-header field after a regular one: " + f.Name)
		return
	}
	var to *string
	var bit pseudoFields
	switch f.Name {
	case ":method":
		to, bit = &r.method, 1
	case ":path":
		to, bit = &r.path, 2
	case ":scheme":
		to, bit = &r.scheme, 4
	case ":authority":
		to, bit = &r.authority, 8
		r.custom = true
	default:
		// "Endpoints MUST treat a request or response that contains undefined or
		// invalid pseudo-header fields as malformed"
		// https://www.rfc-editor.org/rfc/rfc9113#section-8.3
		r.malformed("an undefined pseudo-header field: " + f.Name)
		return
	}
	if r.pseudo&bit != 0 {
		// "The same pseudo-header field name MUST NOT appear more than once in a
		// field block."
		// https://www.rfc-editor.org/rfc/rfc9113#section-8.3
		r.malformed("a pseudo-header field twice: " + f.Name)
	}
	*to = f.Value
	r.pseudo |= bit
}

// pseudoFields is a set of them, a bit each.
type pseudoFields uint8

func (r *request) malformed(what string) {
	if r.broken == "" {
		r.broken = what
	}
}

// check is what can be said when all fields are there.
func (r *request) check() {
	r.absent = r.missing()
	subtype, ok := grpcwire.ParseContentType(r.contentType)
	r.contentSubtype = subtype
	r.refusal = r.refuse(ok)
}

func (r *request) refuse(isGRPC bool) *refusal {
	switch {
	case r.method != "POST":
		return &refusal{405, codes.Internal, "the client sent :method " + r.method + ", gRPC needs POST"}
	case !isGRPC:
		return &refusal{415, codes.Internal, "the client sent content-type \"" + r.contentType + "\", gRPC needs application/grpc or application/grpc+subtype"}
	case !strings.HasPrefix(r.path, "/"):
		return &refusal{200, codes.Unimplemented, "the client sent :path \"" + r.path + "\", gRPC needs /service/method"}
	case r.hosts > 1:
		return &refusal{400, codes.Internal, "the client sent more than one host"}
	case r.authority == "" && r.host == "":
		return &refusal{400, codes.Internal, "the client sent no :authority and no host, gRPC needs one of them"}
	}
	return nil
}

// missing says which pseudo-header field is missing, or gives "".
//
// "All HTTP/2 requests MUST include exactly one valid value for the ":method",
// ":scheme", and ":path" pseudo-header fields, unless they are CONNECT requests"
// https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1
func (r *request) missing() string {
	switch {
	case r.method == "":
		return ":method"
	case r.method == "CONNECT":
		return ""
	case r.scheme == "":
		return ":scheme"
	case r.path == "":
		return ":path"
	}
	return ""
}
