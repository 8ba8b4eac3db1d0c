package weir

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// logSent logs the message that was encoded last: with the headers before it,
// since no attempt may have sent any yet.
func (h *hedge) logSent() {
	l := h.info.codec.log
	if l == nil {
		return
	}
	authority := h.info.authority
	if authority == "" {
		authority = h.c.authority
	}
	md, _ := metadata.FromOutgoingContext(h.ctx)
	l.ClientHeader(h.ctx, authority, md, nil)
	l.Sent()
}

// logEnd logs the end of a call that no attempt has ended.
func (h *hedge) logEnd(err error) {
	l := h.info.codec.log
	if l == nil {
		return
	}
	if code := status.Code(err); code == codes.Canceled || code == codes.DeadlineExceeded {
		l.Cancel()
		return
	}
	l.Trailer(nil, status.Convert(err), nil)
}
