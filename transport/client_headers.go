package transport

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/weir-rpc/weir/internal/field"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// headerBlocks keeps, for each kind of call, the fields that recur, with their
// encoding. Guarded by conn.mu.
type headerBlocks struct {
	cfg     *ClientConfig
	timeout [16]byte // scratch
	known   blockCache[blockKey]
}

type blockKey struct{ method, authority, subtype, compress, accept string }

// maxBlocks bounds the kinds of calls that are remembered.
const maxBlocks = 1024

func (t *http2Client) restLocked() {
	t.blocks.known = blockCache[blockKey]{}
	t.forgetAnswersLocked()
	t.idle.Store(nil)
}

func (h *headerBlocks) init(cfg *ClientConfig) { h.cfg = cfg }

// append appends the header block of a call. The order is that of the gRPC
// specification: what the call always has, the timeout, then metadata.
func (h *headerBlocks) append(b []byte, c *conn, call *Call, hasTimeout bool, timeout time.Duration) ([]byte, *StreamError) {
	// Nothing may fail once the encoder has begun: what it noted must be sent.
	if err := h.checkSize(c, call); err != nil {
		return b, err
	}
	b = c.enc.Begin(b)
	b = h.appendRecurring(b, c, call)
	if hasTimeout {
		v := grpcwire.AppendTimeout(h.timeout[:0], timeout)
		// The encoder keeps no string, but a copy of one.
		b = c.enc.AppendField(b, field.Field{Name: "grpc-timeout", Value: unsafe.String(&v[0], len(v))}, field.IndexName)
	}
	if len(call.Metadata) > 0 {
		b = appendMetadataFields(b, c, call.Metadata)
	}
	return b, nil
}

// check says what keeps the call from being sent, to whichever server, or nil.
func (call *Call) check() *StreamError {
	if len(call.Metadata) > 0 {
		if err := grpcwire.ValidateMetadata(call.Metadata); err != nil {
			return localErrorf(CodeCancel, codes.Internal, "cannot send the call's metadata: %v", err)
		}
	}
	return nil
}

// checkSize keeps a call from being sent that the server would not accept.
func (h *headerBlocks) checkSize(c *conn, call *Call) *StreamError {
	limit := c.settings.maxHeaderListSize
	if limit == 0 || len(call.Metadata) == 0 {
		return nil
	}
	size := metadataSize(call.Metadata) + uint64(len(call.Method)+len(call.Authority)+len(h.cfg.UserAgent)) + 500
	if size <= uint64(limit) {
		return nil
	}
	return localErrorf(CodeCancel, codes.Internal,
		"the call's header list is about %d octets, the server accepts %d (its SETTINGS_MAX_HEADER_LIST_SIZE)", size, limit)
}

// metadataSize gives what md counts in a header list.
func metadataSize(md metadata.MD) (n uint64) {
	for k, vs := range md {
		bin := grpcwire.IsBin(k)
		for _, v := range vs {
			size := len(v)
			if bin {
				size = grpcwire.EncodedBinLen(size)
			}
			n += uint64(len(k) + size + 32)
		}
	}
	return n
}

// appendMetadataFields appends checked metadata, in the order of its keys so
// that equal metadata is equal on the wire.
func appendMetadataFields(b []byte, c *conn, md metadata.MD) []byte {
	var scratch [16]string
	keys := scratch[:0]
	if len(md) > len(scratch) {
		keys = slices.Sorted(maps.Keys(md))
	} else {
		for k := range md {
			keys = append(keys, k)
		}
		slices.Sort(keys)
	}
	for _, k := range keys {
		if grpcwire.Reserved(k) {
			continue
		}
		for _, v := range md[k] {
			if grpcwire.IsBin(k) {
				v = grpcwire.EncodeBin(v)
			} else {
				// "A field value MUST NOT start or end with an ASCII whitespace
				// character". gRPC does not keep it.
				// https://www.rfc-editor.org/rfc/rfc9113#section-8.2.1
				v = strings.Trim(v, " ")
			}
			b = c.enc.AppendField(b, field.Field{Name: k, Value: v}, field.IndexAuto)
		}
	}
	return b
}

// appendRecurring appends what calls of one kind have in common.
func (h *headerBlocks) appendRecurring(b []byte, c *conn, call *Call) []byte {
	block := h.known.find(blockKey{call.Method, call.Authority, call.ContentSubtype, call.SendCompress, call.AcceptEncoding}, maxBlocks)
	b, ok := c.enc.Replay(b, block)
	if !ok {
		b = h.appendBlock(b, c, call, block)
	}
	return b
}

// appendBlock appends them field by field, for block to keep. They lie on its
// stack: a thousand callers of whom each has written them once would hold a
// kilobyte each for that.
func (h *headerBlocks) appendBlock(b []byte, c *conn, call *Call, block *field.Block) []byte {
	authority, scheme := call.Authority, "http"
	if authority == "" {
		authority = h.cfg.Authority
	}
	if h.cfg.AuthInfo != nil && h.cfg.AuthInfo.AuthType() != "insecure" {
		scheme = "https"
	}
	agent := h.cfg.UserAgent
	if agent == "" {
		agent = defaultUserAgent
	}
	fields := append(make([]field.Field, 0, 9),
		field.Field{Name: ":method", Value: "POST"},
		field.Field{Name: ":scheme", Value: scheme},
		field.Field{Name: ":path", Value: call.Method},
		field.Field{Name: ":authority", Value: authority},
		field.Field{Name: "content-type", Value: grpcwire.ContentType(call.ContentSubtype)},
		field.Field{Name: "user-agent", Value: agent},
		field.Field{Name: "te", Value: "trailers"},
	)
	if call.SendCompress != "" {
		fields = append(fields, field.Field{Name: "grpc-encoding", Value: call.SendCompress})
	}
	if accept := cmp.Or(call.AcceptEncoding, h.cfg.AcceptEncoding); accept != "" {
		fields = append(fields, field.Field{Name: "grpc-accept-encoding", Value: accept})
	}
	return c.enc.AppendBlock(b, block, fields...)
}

const defaultUserAgent = "grpc-go-weir/" + Version

// Version is weir's version.
const Version = "0.1.0-dev"

func unavailable(text string) *status.Status { return status.New(codes.Unavailable, text) }

func statusf(c codes.Code, format string, args ...any) *status.Status {
	return status.Newf(c, format, args...)
}
