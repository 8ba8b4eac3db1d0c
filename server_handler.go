package weir

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// method is a method of a service. One of unary and stream is set.
type method struct {
	impl   any
	unary  *grpc.MethodDesc
	stream *grpc.StreamDesc
	info   *grpc.StreamServerInfo // of a stream, for interceptors

	unregistered bool // what UnknownServiceHandler makes of a path
	watch        bool // ends when the server begins to stop
}

func streamMethod(impl any, path string, desc *grpc.StreamDesc) *method {
	return &method{impl: impl, stream: desc, watch: path == watchMethod, info: &grpc.StreamServerInfo{
		FullMethod: path, IsClientStream: desc.ClientStreams, IsServerStream: desc.ServerStreams,
	}}
}

// handle handles one stream.
func (s *Server) handle(st transport.ServerStream) { s.handleWith(st, false) }

// handleWith handles one stream. If hands is set, its client takes messages
// themselves.
func (s *Server) handleWith(st transport.ServerStream, hands bool) {
	call := s.begin(st)
	defer call.end() // also if the handler ends its goroutine
	ctx := st.Context()
	if s.cfg.telemetry.calls {
		var over func()
		ctx, over = s.cfg.telemetry.around(ctx, st)
		defer over()
	}
	if s.cfg.intake.tap != nil {
		var refused *status.Status
		if ctx, refused = s.tapped(ctx, st); refused != nil {
			st.WriteStatus(refused)
			return
		}
	}
	if s.stats != nil || s.log != nil {
		call.stats, ctx = s.observe(ctx, st)
	}
	o := call.stats
	m := s.methods[st.Method()]
	if m == nil {
		if m = s.unknownMethod(st.Method()); m == nil {
			o.writeStatus(st, s.unknown(st.Method()))
			return
		}
	}
	o.begin(m)
	defer o.end()
	c, ok := s.codec(st.ContentSubtype(), m)
	c.log, c.hands, c.pool = o.logged(), hands, s.cfg.messages.pool
	if !ok {
		o.writeStatus(st, status.Newf(codes.Unimplemented, "the server has no codec for content-subtype %q (%s)", st.ContentSubtype(), codecHint))
		return
	}
	comp, err := answerCompressor(st)
	if err != nil {
		o.writeStatus(st, status.Convert(err))
		return
	}
	if m.unary != nil {
		if late := s.cfg.intake.late(st); late != nil {
			o.writeStatus(st, late)
			return
		}
		call.codec = c
		s.handleUnary(ctx, st, m, call, comp)
	} else {
		s.handleStream(m, &serverStream{s: s, st: st, ctx: ctx, stats: o, desc: m.stream, codec: c.forStream(), comp: comp})
	}
}

// unknownMethod is what UnknownServiceHandler makes of a path, or nil.
func (s *Server) unknownMethod(path string) *method {
	if s.cfg.unknown == nil || strings.LastIndexByte(path, '/') <= 0 {
		return nil
	}
	m := streamMethod(nil, path, &grpc.StreamDesc{Handler: s.cfg.unknown, ServerStreams: true, ClientStreams: true})
	m.unregistered = true
	return m
}

func (s *Server) unknown(path string) *status.Status {
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		name = path[1:i]
	}
	if !s.names[name] {
		return status.Newf(codes.Unimplemented, "the server has no service %q (method %q)", name, path)
	}
	return status.Newf(codes.Unimplemented, "the service %q has no method %q", name, path)
}

// answerCompressor sees to it that the answer is compressed as the request is.
func answerCompressor(st transport.ServerStream) (encoding.Compressor, error) {
	name := st.Encoding()
	if name == "" || name == encoding.Identity {
		return nil, nil
	}
	comp := encoding.GetCompressor(name)
	if comp == nil {
		return nil, status.Errorf(codes.Unimplemented, "the client compresses with %q, and the server has no such compressor (%s)", name, compressorHint(name))
	}
	return comp, st.SetSendCompress(name)
}

// call is what the server keeps of a call while its handler runs. The objects
// are used again: nothing of them reaches the handler but decode, for the time
// that it runs.
type call struct {
	s      *Server
	codec  codec
	stats  *callStats      // nil if nobody asks
	decode func(any) error // the method value of decodeRequest, made once

	mu sync.Mutex
	st transport.ServerStream // nil if no handler runs; guarded by mu
}

// stream gives the stream whose handler runs, or nil.
func (c *call) stream() transport.ServerStream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.st
}

func (c *call) setStream(st transport.ServerStream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.st = st
}

func (s *Server) begin(st transport.ServerStream) *call {
	c, _ := s.calls.Get().(*call)
	if c == nil {
		c = &call{s: s}
		c.decode = c.decodeRequest
		s.running.add(c)
	}
	c.setStream(st)
	return c
}

func (c *call) end() {
	s := c.s
	c.setStream(nil)
	c.stats = nil
	s.calls.Put(c)
	if s.closing.Load() {
		s.signal()
	}
}

func (s *Server) handleUnary(ctx context.Context, st transport.ServerStream, m *method, call *call, comp encoding.Compressor) {
	reply, err := m.unary.Handler(m.impl, ctx, call.decode, s.unaryInterceptor)
	if err != nil {
		call.stats.writeStatus(st, handlerStatus(err))
		return
	}
	b, size, err := s.sending().encode(reply, &call.codec, answerCompression(st, comp))
	if err != nil {
		call.stats.writeStatus(st, status.Convert(err))
		return
	}
	o := call.stats
	if o == nil {
		st.Reply(b)
		return
	}
	wire, lost := b.Len(), o.lost(st)
	st.Reply(b)
	if lost != nil {
		o.ended(lost)
		return
	}
	o.outPayload(reply, size, wire)
	o.ended(nil)
	o.outTrailer()
}

// decodeRequest decodes the one message of a unary request.
func (c *call) decodeRequest(v any) error {
	st := c.stream()
	m, err := st.Request()
	switch {
	case err == io.EOF:
		return status.Error(codes.Unimplemented, "cardinality violation: the client sent no message in a unary call")
	case err == transport.ErrManyMessages:
		return status.Error(codes.Unimplemented, "cardinality violation: "+err.Error())
	case err != nil:
		return err
	}
	in := c.s.received(st, &c.codec)
	err = in.into(&m, v)
	m.Free()
	if err == nil {
		c.stats.inPayload(v, in.size, in.wire)
	}
	return err
}

func (s *Server) received(st transport.ServerStream, c *codec) received {
	return received{codec: c, limit: s.cfg.maxRecv, option: "MaxRecvMsgSize", server: true, unknown: codes.Unimplemented, encoding: st.Encoding()}
}

// handlerStatus is the status that a handler's error means.
func handlerStatus(err error) *status.Status {
	if st, ok := status.FromError(err); ok {
		if st.Code() == codes.OK { // an error that says that there is none
			return status.New(codes.Unknown, err.Error())
		}
		return st
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err)
	}
	return status.New(codes.Unknown, err.Error())
}

func (s *Server) handleStream(m *method, ss *serverStream) {
	if m.watch {
		defer s.untilStop(ss)()
	}
	var err error
	if s.streamInterceptor == nil {
		err = m.stream.Handler(m.impl, ss)
	} else {
		err = s.streamInterceptor(m.impl, ss, m.info, m.stream.Handler)
	}
	var end *status.Status // OK
	if err != nil {
		end = handlerStatus(err)
	}
	if m.watch {
		end = ss.stopped(end)
	}
	ss.stats.writeStatus(ss.st, end)
}

// serverStream is the grpc.ServerStream of a call.
type serverStream struct {
	s     *Server
	st    transport.ServerStream
	ctx   context.Context
	stats *callStats // nil if nobody asks
	desc  *grpc.StreamDesc
	codec codec
	comp  encoding.Compressor
	got   bool // a message was received; owned by the receiver
}

func (ss *serverStream) SetTrailer(md metadata.MD) { _ = ss.st.SetTrailer(md) }
func (ss *serverStream) Context() context.Context  { return ss.ctx }

// SetHeader adds to the headers. Nothing can be added at any time. See
// grpc.ServerStream.
func (ss *serverStream) SetHeader(md metadata.MD) error {
	if len(md) == 0 {
		return nil
	}
	return ss.st.SetHeader(md)
}

// abort ends the stream for an error of SendMsg or RecvMsg, whatever the handler
// makes of it: what the client gets would have a gap else.
func (ss *serverStream) abort(err error) error {
	ss.stats.abort(ss.st, handlerStatus(err))
	return err
}

// SendHeader sends the headers. See grpc.ServerStream.
func (ss *serverStream) SendHeader(md metadata.MD) error {
	err := ss.st.SendHeader(md)
	if err == nil {
		ss.stats.outHeader()
	}
	return err
}

// SendMsg sends a message. See grpc.ServerStream.
func (ss *serverStream) SendMsg(v any) error {
	v, within := sendWithin(v)
	if err := waitSend(within, ss.st); err != nil {
		return err
	}
	m, size, err := ss.s.sending().encode(v, &ss.codec, answerCompression(ss.st, ss.comp))
	if err != nil {
		return ss.abort(err)
	}
	wire := m.Len()
	if err := ss.st.Send(m); err != nil {
		return ss.abort(err)
	}
	ss.stats.outPayload(v, size, wire)
	return nil
}

// RecvMsg receives a message. See grpc.ServerStream.
func (ss *serverStream) RecvMsg(v any) error {
	m, err := ss.st.Recv()
	switch {
	case err == nil:
	case err != io.EOF:
		return ss.abort(err)
	case !ss.desc.ClientStreams && !ss.got:
		ss.stats.noMore()
		return ss.abort(status.Error(codes.Unimplemented, "cardinality violation: the client sent no message where one was expected"))
	default:
		ss.stats.noMore()
		return io.EOF
	}
	ss.got = true
	in := ss.s.received(ss.st, &ss.codec)
	err = in.into(&m, v)
	m.Free()
	if err != nil {
		return ss.abort(err)
	}
	ss.stats.inPayload(v, in.size, in.wire)
	if ss.desc.ClientStreams {
		return nil
	}
	if m, err := ss.st.Recv(); err == nil {
		m.Free()
		return ss.abort(status.Error(codes.Unimplemented, "cardinality violation: the client sent more than one message where one was expected"))
	} else if err != io.EOF {
		return ss.abort(err)
	}
	return nil
}

func (s *Server) sending() sending {
	return sending{s.cfg.messages.least, s.cfg.maxSend, "the server's limit", "MaxSendMsgSize"}
}

// answerCompression gives the compressor that SetSendCompressor has set, or
// comp, that of the request. Nil means none.
func answerCompression(st transport.ServerStream, comp encoding.Compressor) encoding.Compressor {
	name := st.SendCompress()
	switch {
	case name == "" || name == encoding.Identity:
		return nil
	case comp == nil || comp.Name() != name:
		comp = encoding.GetCompressor(name)
	}
	return comp
}
