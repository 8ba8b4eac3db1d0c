package binlog

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/binarylog"
	pb "google.golang.org/grpc/binarylog/grpc_binarylog_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// A Log writes calls to a sink. Nil writes none.
type Log struct {
	filter *filter
	sink   binarylog.Sink
	client bool
}

// New makes the Log of a client, or of a server. It is nil if nothing is to be
// logged: without a filter, or a sink.
func New(filter string, sink binarylog.Sink, client bool) (*Log, error) {
	if filter == "" || sink == nil {
		return nil, nil
	}
	f, err := parse(filter)
	if err != nil {
		return nil, err
	}
	return &Log{filter: f, sink: sink, client: client}, nil
}

// lastID is the id of the latest call. Ids are for the process: logs of several
// Clients and Servers may go to one sink.
var lastID atomic.Uint64

// Call gives what logs a call, or nil if it is not logged.
func (l *Log) Call(path string) *Call {
	if l == nil {
		return nil
	}
	bounds, ok := l.filter.of(path)
	if !ok {
		return nil
	}
	return &Call{log: l, path: path, limits: bounds}
}

// A Call logs one call. Its methods may be called by several goroutines, and do
// nothing on nil, before ClientHeader and after Trailer and Cancel.
type Call struct {
	log    *Log
	path   string
	limits limits

	mu sync.Mutex
	// Guarded by mu, which is held while the sink writes: entries are in order.
	id       uint64 // zero until the call has begun
	sequence uint64
	header   bool        // the server's is logged
	half     bool        // the client's end of messages is logged
	over     bool        // the end is logged
	sending  *pb.Message // marshalled, not sent
}

// ClientHeader begins the log. Only the first one counts. The address is that of
// the client, on a server.
func (c *Call) ClientHeader(ctx context.Context, authority string, md metadata.MD, from net.Addr) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id != 0 {
		return
	}
	c.id = lastID.Add(1)
	h := &pb.ClientHeader{MethodName: text(c.path), Authority: text(authority)}
	if deadline, ok := ctx.Deadline(); ok {
		if left := time.Until(deadline); left > 0 {
			h.Timeout = durationpb.New(left)
		}
	}
	var cut bool
	h.Metadata, cut = logged(md, c.limits.header)
	c.writeLocked(&pb.GrpcLogEntry{
		Type:             pb.GrpcLogEntry_EVENT_TYPE_CLIENT_HEADER,
		Payload:          &pb.GrpcLogEntry_ClientHeader{ClientHeader: h},
		PayloadTruncated: cut, Peer: address(from),
	})
}

// ServerHeader logs the server's headers, once. The address is that of the
// server, on a client.
func (c *Call) ServerHeader(md metadata.MD, from net.Addr) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.header || c.id == 0 || c.over {
		return
	}
	c.header = true
	entries, cut := logged(md, c.limits.header)
	c.writeLocked(&pb.GrpcLogEntry{
		Type:             pb.GrpcLogEntry_EVENT_TYPE_SERVER_HEADER,
		Payload:          &pb.GrpcLogEntry_ServerHeader{ServerHeader: &pb.ServerHeader{Metadata: entries}},
		PayloadTruncated: cut, Peer: address(from),
	})
}

// Marshalled says what the next message is that Sent logs. It keeps nothing of
// data.
func (c *Call) Marshalled(data []byte) {
	if c != nil {
		m := c.message(data)
		c.mu.Lock()
		c.sending = m
		c.mu.Unlock()
	}
}

// Sent logs the message that Marshalled was told of, once.
func (c *Call) Sent() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sending != nil {
		c.messageLocked(c.sending, c.log.client)
		c.sending = nil
	}
}

// Received logs a message of the peer. It keeps nothing of data.
func (c *Call) Received(data []byte) {
	if c == nil {
		return
	}
	m := c.message(data)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messageLocked(m, !c.log.client)
}

func (c *Call) message(data []byte) *pb.Message {
	n := min(uint64(len(data)), c.limits.message)
	return &pb.Message{Length: uint32(len(data)), Data: append([]byte(nil), data[:n]...)}
}

func (c *Call) messageLocked(m *pb.Message, ofClient bool) {
	e := &pb.GrpcLogEntry{
		Type:             pb.GrpcLogEntry_EVENT_TYPE_SERVER_MESSAGE,
		Payload:          &pb.GrpcLogEntry_Message{Message: m},
		PayloadTruncated: uint32(len(m.Data)) < m.Length,
	}
	if ofClient {
		e.Type = pb.GrpcLogEntry_EVENT_TYPE_CLIENT_MESSAGE
	}
	c.writeLocked(e)
}

// HalfClose logs, once, that the client has no more messages.
func (c *Call) HalfClose() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.half {
		c.half = true
		c.writeLocked(&pb.GrpcLogEntry{Type: pb.GrpcLogEntry_EVENT_TYPE_CLIENT_HALF_CLOSE})
	}
}

// Trailer logs the end of the call: the server's status, or one that came about
// here. Nil is OK. The address is that of the server, on a client.
func (c *Call) Trailer(md metadata.MD, end *status.Status, from net.Addr) {
	if c == nil {
		return
	}
	t := &pb.Trailer{StatusCode: uint32(end.Code()), StatusMessage: text(end.Message())}
	t.Metadata, _ = logged(md, unlimited)
	if p := end.Proto(); len(p.GetDetails()) > 0 {
		p.Message = t.StatusMessage
		t.StatusDetails, _ = proto.Marshal(p)
	}
	c.end(&pb.GrpcLogEntry{
		Type:    pb.GrpcLogEntry_EVENT_TYPE_SERVER_TRAILER,
		Payload: &pb.GrpcLogEntry_Trailer{Trailer: t}, Peer: address(from),
	})
}

// Cancel logs that the client gave the call up.
func (c *Call) Cancel() {
	if c != nil {
		c.end(&pb.GrpcLogEntry{Type: pb.GrpcLogEntry_EVENT_TYPE_CANCEL})
	}
}

func (c *Call) end(e *pb.GrpcLogEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeLocked(e)
	c.over = true
}

// writeLocked writes an entry of a call that has begun and is not over.
func (c *Call) writeLocked(e *pb.GrpcLogEntry) {
	if c.id == 0 || c.over {
		return
	}
	c.sequence++
	e.Timestamp, e.CallId, e.SequenceIdWithinCall = timestamppb.Now(), c.id, c.sequence
	e.Logger = pb.GrpcLogEntry_LOGGER_SERVER
	if c.log.client {
		e.Logger = pb.GrpcLogEntry_LOGGER_CLIENT
	}
	_ = c.log.sink.Write(e) // a call goes on without its log
}
