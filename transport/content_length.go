package transport

import (
	"fmt"
	"strconv"
)

// contentLength is what a content-length field says of a body, less what of it
// has come. gRPC needs none, but who sends one must tell the truth:
//
// "A request or response is also malformed if the value of a content-length
// header field does not equal the sum of the DATA frame payload lengths that
// form the content"
// https://www.rfc-editor.org/rfc/rfc9113#section-8.1.1
//
// The zero value is that of a message without the field, and so is nil.
type contentLength struct {
	known bool
	said  int64
	left  int64
}

// parse takes a field's value. It says what is wrong with it, or gives "".
func (l *contentLength) parse(value string) (fault string) {
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil {
		return "a content-length that is no number of octets: " + strconv.Quote(value)
	}
	if l.known && l.said != int64(n) {
		return "two values of content-length"
	}
	*l = contentLength{known: true, said: int64(n), left: int64(n)}
	return ""
}

// ofBody gives what a stream keeps: nil without the field, as nearly all are.
func (l contentLength) ofBody() *contentLength {
	if !l.known {
		return nil
	}
	own := l // l itself would be on the heap for everybody
	return &own
}

// take takes n octets of the body, and end if they are the last. It says what
// is wrong then, or gives "".
func (l *contentLength) take(n int, end bool) (fault string) {
	if l == nil || !l.known {
		return ""
	}
	l.left -= int64(n)
	switch {
	case l.left < 0:
		return fmt.Sprintf("a body of more octets than its content-length, %d", l.said)
	case end && l.left > 0:
		return fmt.Sprintf("a body of %d octets, its content-length is %d", l.said-l.left, l.said)
	}
	return ""
}
