package binlog

import (
	"context"
	"errors"
	"math"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "google.golang.org/grpc/binarylog/grpc_binarylog_v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// paper remembers entries, and fails to write them.
type paper struct{ entries []*pb.GrpcLogEntry }

func (p *paper) Write(e *pb.GrpcLogEntry) error {
	p.entries = append(p.entries, e)
	return errors.New("out of ink")
}

func (*paper) Close() error { return nil }

func (p *paper) types() (out []string) {
	for _, e := range p.entries {
		out = append(out, strings.TrimPrefix(e.GetType().String(), "EVENT_TYPE_"))
	}
	return out
}

func newCall(t *testing.T, filter string, client bool) (*Call, *paper) {
	t.Helper()
	p := new(paper)
	l, err := New(filter, p, client)
	if err != nil {
		t.Fatal(err)
	}
	return l.Call("/a.B/C"), p
}

// A call is logged from its first header to its first end, each of them once,
// whatever else is said of it: attempts that are repeated say things twice.
func TestCall_IsLoggedOnce(t *testing.T) {
	c, p := newCall(t, "*", true)
	c.Marshalled([]byte("early"))
	c.HalfClose()
	c.ServerHeader(nil, nil)
	c.Trailer(nil, nil, nil)
	if len(p.entries) > 0 {
		t.Fatalf("before the call has begun: %q", p.types())
	}
	c, p = newCall(t, "*", true)
	for range 2 {
		c.ClientHeader(t.Context(), "host", nil, nil)
		c.Marshalled([]byte("a message"))
		c.Sent()
		c.Sent()
		c.ServerHeader(nil, nil)
		c.Received([]byte("its answer"))
		c.HalfClose()
	}
	c.Trailer(nil, nil, nil)
	c.Cancel()
	c.Received([]byte("too late"))
	want := []string{"CLIENT_HEADER", "CLIENT_MESSAGE", "SERVER_HEADER", "SERVER_MESSAGE", "CLIENT_HALF_CLOSE", "CLIENT_MESSAGE", "SERVER_MESSAGE", "SERVER_TRAILER"}
	if got := p.types(); !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
	for i, e := range p.entries {
		if e.GetSequenceIdWithinCall() != uint64(i+1) || e.GetCallId() != p.entries[0].GetCallId() || e.GetTimestamp() == nil || e.GetLogger() != pb.GrpcLogEntry_LOGGER_CLIENT {
			t.Errorf("entry %d is %v", i, e)
		}
	}
}

// Calls that are not logged cost their callers no more than a look at nil.
func TestCall_NotLogged(t *testing.T) {
	for _, filter := range []string{"", "other.S/*", "*,-a.B/C"} {
		c, p := newCall(t, filter, false)
		if c != nil {
			t.Fatalf("%q logs the call", filter)
		}
		c.ClientHeader(t.Context(), "", nil, nil)
		c.Marshalled(nil)
		c.Sent()
		c.Received(nil)
		c.ServerHeader(nil, nil)
		c.HalfClose()
		c.Trailer(nil, nil, nil)
		c.Cancel()
		if len(p.entries) > 0 {
			t.Errorf("%q: logged %q", filter, p.types())
		}
	}
	if l, err := New("*", nil, true); l != nil || err != nil {
		t.Errorf("without a sink there is the log %v, %v", l, err)
	}
}

// What is logged of a message is cut, its length is not.
func TestCall_Limits(t *testing.T) {
	for _, tt := range []struct {
		filter, data string
		cut          bool
	}{
		{"*", "abcdef", false},
		{"*{m:6}", "abcdef", false},
		{"*{m:4}", "abcd", true},
		{"*{h}", "", true},
	} {
		c, p := newCall(t, tt.filter, true)
		c.ClientHeader(t.Context(), "", nil, nil)
		c.Received([]byte("abcdef"))
		e := p.entries[1]
		if m := e.GetMessage(); string(m.GetData()) != tt.data || m.GetLength() != 6 || e.GetPayloadTruncated() != tt.cut {
			t.Errorf("%s: logged %v", tt.filter, e)
		}
	}
}

// The time that a call has is logged if there is some left.
func TestCall_Timeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, left := range []time.Duration{time.Minute, 0, -time.Second, math.MinInt64} {
			ctx := t.Context()
			if left != math.MinInt64 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, left)
				defer cancel()
			}
			c, p := newCall(t, "*", true)
			c.ClientHeader(ctx, "", nil, nil)
			if got := p.entries[0].GetClientHeader().GetTimeout().AsDuration(); got != max(left, 0) {
				t.Errorf("with %v left, the log says %v", left, got)
			}
		}
	})
}

func TestCall_StatusDetails(t *testing.T) {
	c, p := newCall(t, "*", false)
	c.ClientHeader(t.Context(), "", nil, nil)
	st, err := status.New(codes.Aborted, "no").WithDetails(&pb.Address{Address: "here"})
	if err != nil {
		t.Fatal(err)
	}
	c.Trailer(metadata.Pairs("k", "v"), st, nil)
	tr := p.entries[1].GetTrailer()
	if tr.GetStatusCode() != uint32(codes.Aborted) || tr.GetStatusMessage() != "no" || len(tr.GetStatusDetails()) == 0 || len(tr.GetMetadata().GetEntry()) != 1 {
		t.Errorf("logged %v", tr)
	}
}

// Whatever a peer or a handler says, the entry can be written.
func TestCall_AnyText(t *testing.T) {
	p := new(paper)
	l, err := New("*", p, false)
	if err != nil {
		t.Fatal(err)
	}
	c := l.Call("/a.B/C\xff")
	odd := metadata.MD{"k\xff": {"v\xff"}}
	c.ClientHeader(t.Context(), "host\xff", odd, &net.UnixAddr{Net: "unix", Name: "/run/\xff"})
	st, err := status.New(codes.Aborted, "no \xff").WithDetails(&pb.Address{Address: "here"})
	if err != nil {
		t.Fatal(err)
	}
	c.Trailer(odd, st, nil)
	for _, e := range p.entries {
		if _, err := proto.Marshal(e); err != nil {
			t.Errorf("%v: %v", e.GetType(), err)
		}
	}
	if tr := p.entries[1].GetTrailer(); tr.GetStatusMessage() != "no \uFFFD" || len(tr.GetStatusDetails()) == 0 {
		t.Errorf("logged %v", tr)
	}
}

func TestMetadata(t *testing.T) {
	md := metadata.MD{
		"b": {"1", "22"}, "a": {"333"}, "authorization": {"secret"}, "grpc-previous-rpc-attempts": {"1"}, ":authority": {"x"},
		"user-agent": {"x"}, "te": {"x"}, "content-type": {"x"}, "content-encoding": {"x"}, "lb-token": {"x"}, ":path": {"x"}, traceKey: {"trace"},
	}
	for _, tt := range []struct {
		limit uint64
		want  string
		cut   bool
	}{
		{unlimited, "a=333 b=1 b=22 grpc-trace-bin=trace", false},
		{9, "a=333 b=1 b=22 grpc-trace-bin=trace", false},
		{8, "a=333 b=1 grpc-trace-bin=trace", true},
		{6, "a=333 b=1 grpc-trace-bin=trace", true},
		{3, "grpc-trace-bin=trace", true},
		{0, "grpc-trace-bin=trace", true},
	} {
		out, cut := logged(md, tt.limit)
		var got []string
		for _, e := range out.GetEntry() {
			got = append(got, e.GetKey()+"="+string(e.GetValue()))
		}
		if s := strings.Join(got, " "); s != tt.want || cut != tt.cut {
			t.Errorf("%d octets: %q, %v, want %q, %v", tt.limit, s, cut, tt.want, tt.cut)
		}
	}
}

func TestAddress(t *testing.T) {
	for _, tt := range []struct {
		addr net.Addr
		want *pb.Address
	}{
		{nil, nil},
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}, &pb.Address{Type: pb.Address_TYPE_IPV4, Address: "192.0.2.1", IpPort: 80}},
		{&net.TCPAddr{IP: net.IPv6loopback, Port: 80}, &pb.Address{Type: pb.Address_TYPE_IPV6, Address: "::1", IpPort: 80}},
		{&net.TCPAddr{Port: 80}, &pb.Address{Type: pb.Address_TYPE_UNKNOWN}},
		{&net.UnixAddr{Net: "unix", Name: "/run/x"}, &pb.Address{Type: pb.Address_TYPE_UNIX, Address: "/run/x"}},
		{&net.UDPAddr{}, &pb.Address{Type: pb.Address_TYPE_UNKNOWN}},
	} {
		if got := address(tt.addr); got.String() != tt.want.String() || (got == nil) != (tt.want == nil) {
			t.Errorf("%v is logged as %v, want %v", tt.addr, got, tt.want)
		}
	}
}
