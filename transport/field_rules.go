package transport

import (
	"strconv"
	"strings"

	"github.com/weir-rpc/weir/internal/field"
)

// fieldFault says what makes a field malformed in requests, responses and
// trailers alike, or gives "". Which pseudo-header fields may stand where is
// said elsewhere.
func fieldFault(f field.Field) string {
	switch f.Name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		// "An endpoint MUST NOT generate an HTTP/2 message containing
		// connection-specific header fields. [...] Any message containing
		// connection-specific header fields MUST be treated as malformed".
		// https://www.rfc-editor.org/rfc/rfc9113#section-8.2.2
		return "a field that belongs to HTTP/1 connections: " + f.Name
	}
	if !validName(strings.TrimPrefix(f.Name, ":")) {
		return "a field name with uppercase letters or others that no name has: " + strconv.Quote(f.Name)
	}
	// "A field value MUST NOT contain the zero value (ASCII NUL, 0x00), line feed
	// (ASCII LF, 0x0a), or carriage return (ASCII CR, 0x0d) at any position."
	// https://www.rfc-editor.org/rfc/rfc9113#section-8.2.1
	if strings.IndexByte(f.Value, 0) >= 0 || strings.IndexByte(f.Value, '\n') >= 0 || strings.IndexByte(f.Value, '\r') >= 0 {
		return "a NUL or the end of a line in the value of " + f.Name
	}
	return ""
}

// validName reports whether a name, without the colon of a pseudo-header
// field, is one.
//
// "A field name MUST NOT contain characters in the ranges 0x00-0x20, 0x41-0x5a,
// or 0x7f-0xff (all ranges inclusive). [...] With the exception of
// pseudo-header fields [...], field names MUST NOT include a colon".
// https://www.rfc-editor.org/rfc/rfc9113#section-8.2.1
func validName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || 'A' <= c && c <= 'Z' || c == ':' || c >= 0x7f {
			return false
		}
	}
	return name != ""
}
