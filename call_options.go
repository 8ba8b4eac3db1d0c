package weir

import (
	"math"

	"github.com/weir-rpc/weir/internal/serviceconfig"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// callInfo is what the options of a call say.
type callInfo struct {
	codec        codec
	forced       bool // codec was set by an option
	waitForReady bool
	subtype      string
	compressor   string
	accept       *acceptList // compressors of answers; nil if any will do
	least        int         // octets that are worth compressing
	maxRecv      int
	maxSend      int
	maxReplay    int
	authority    string
	creds        credentials.PerRPCCredentials
	service      *service              // nil without a service config
	method       *serviceconfig.Method // what that says; nil if nothing
	tell         *tellInfo             // who wants to know how the call ends; nil if nobody does
}

// tellInfo are the options of a call that are told how it ended.
type tellInfo struct {
	header   []*metadata.MD
	trailer  []*metadata.MD
	peer     []*peer.Peer
	onFinish []func(error)
}

func (ci *callInfo) telling() *tellInfo {
	if ci.tell == nil {
		ci.tell = new(tellInfo)
	}
	return ci.tell
}

const (
	defaultMaxRecv = transport.DefaultMaxRecvMessageSize
	defaultMaxSend = math.MaxInt32
)

// apply reads the options in their order. Those of grpc-go are structs with
// exported fields; a pointer to one, and a struct that embeds one, count too.
// All are read, so that those that wait for the end of the call get to know it;
// the error is the first.
func (ci *callInfo) apply(opts []grpc.CallOption) (first error) {
	for _, o := range opts {
		if err := ci.applyOne(o); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (ci *callInfo) applyOne(o grpc.CallOption) error {
	switch o := o.(type) {
	case grpc.StaticMethodCallOption, grpc.EmptyCallOption, nil:
	case grpc.HeaderCallOption:
		t := ci.telling()
		t.header = append(t.header, o.HeaderAddr)
	case grpc.TrailerCallOption:
		t := ci.telling()
		t.trailer = append(t.trailer, o.TrailerAddr)
	case grpc.PeerCallOption:
		t := ci.telling()
		t.peer = append(t.peer, o.PeerAddr)
	case grpc.FailFastCallOption:
		ci.waitForReady = !o.FailFast
	case grpc.OnFinishCallOption:
		t := ci.telling()
		t.onFinish = append(t.onFinish, o.OnFinish)
	case grpc.MaxRecvMsgSizeCallOption:
		ci.maxRecv = o.MaxRecvMsgSize
	case grpc.MaxSendMsgSizeCallOption:
		ci.maxSend = o.MaxSendMsgSize
	case grpc.AuthorityOverrideCallOption:
		ci.authority = o.Authority
	case grpc.PerRPCCredsCallOption:
		ci.creds = o.Creds
	case grpc.CompressorCallOption:
		ci.compressor = o.CompressorType
	case grpc.ContentSubtypeCallOption:
		ci.subtype = o.ContentSubtype
	case grpc.ForceCodecCallOption:
		if o.Codec == nil {
			return errNoCodec
		}
		ci.codec, ci.forced = codecV1(o.Codec), true
	case grpc.ForceCodecV2CallOption:
		if ci.forced = o.CodecV2 != nil; ci.forced { // nil is the default, as in grpc-go
			ci.codec = codecV2(o.CodecV2)
		}
	case grpc.CustomCodecCallOption:
		if o.Codec == nil {
			return errNoCodec
		}
		ci.codec, ci.forced = codecV1(customCodec{o.Codec}), true
	case grpc.MaxRetryRPCBufferSizeCallOption:
		ci.maxReplay = o.MaxRetryRPCBufferSize
	default:
		return ci.applyOther(o)
	}
	return nil
}

var errNoCodec = status.Error(codes.Internal, "the codec of grpc.ForceCodec or grpc.CallCustomCodec is nil: leave the option out")

// customCodec is the codec of grpc.CallCustomCodec. Its name is not sent.
type customCodec struct {
	grpc.Codec
}

func (customCodec) Name() string { return "" }

// encoder finds the codec and the compressor.
func (ci *callInfo) encoder() (encoding.Compressor, error) {
	switch {
	case ci.forced && ci.subtype == "":
		ci.subtype = ci.codec.name()
	case !ci.forced && ci.subtype != "":
		c, ok := codecFor(ci.subtype)
		if !ok {
			return nil, status.Errorf(codes.Internal, "the client has no codec for content-subtype %q (%s)", ci.subtype, codecHint)
		}
		ci.codec = c
	}
	if ci.compressor == "" || ci.compressor == encoding.Identity {
		return nil, nil
	}
	comp := encoding.GetCompressor(ci.compressor)
	if comp == nil {
		return nil, status.Errorf(codes.Internal, "the client has no compressor %q (%s)", ci.compressor, compressorHint(ci.compressor))
	}
	return comp, nil
}

// finish tells the options how the call ended.
func (ci *callInfo) finish(header, trailer func() metadata.MD, p *peer.Peer, err error) {
	ci.fill(header, trailer, p)
	ci.finished(err)
}

// fill gives the options what came of the call.
func (ci *callInfo) fill(header, trailer func() metadata.MD, p *peer.Peer) {
	ci.committed()
	t := ci.tell
	if t == nil {
		return
	}
	for _, to := range t.header {
		*to = header()
	}
	for _, to := range t.trailer {
		*to = trailer()
	}
	for _, to := range t.peer {
		if p != nil {
			*to = *p
		}
	}
}

// finished tells OnFinish, after fill.
func (ci *callInfo) finished(err error) {
	if ci.tell == nil {
		return
	}
	for _, f := range ci.tell.onFinish {
		f(err)
	}
}
