package transport

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Both sides announce what they were configured with; a client also that it
// takes no pushes.
// Rows A27, A32, B11, C7: ENABLE_PUSH of 0 comes from a client, the limit of
// streams from a server.
func TestSettings_Announced_AreTheConfiguration(t *testing.T) {
	cfg := ConnConfig{InitialWindowSize: 70000, MaxHeaderListSize: 5000, HeaderTableSize: 100}
	want := map[http2.SettingID]uint32{
		http2.SettingInitialWindowSize: 70000, http2.SettingMaxHeaderListSize: 5000, http2.SettingHeaderTableSize: 100,
	}
	check := func(t *testing.T, p *h2peer.Peer, id http2.SettingID, val uint32) {
		t.Helper()
		if got, ok := p.Settings[id]; !ok || got != val || len(p.Settings) != len(want)+1 {
			t.Errorf("%v is %v (%v)", id, got, p.Settings)
		}
		for id, val := range want {
			if p.Settings[id] != val {
				t.Errorf("%v is %d, want %d", id, p.Settings[id], val)
			}
		}
	}
	inServer(t, ServerConfig{ConnConfig: cfg, MaxConcurrentStreams: 7}, func(t *testing.T, ts *testServer) {
		check(t, ts.peer, http2.SettingMaxConcurrentStreams, 7)
	})
	inClient(t, ClientConfig{ConnConfig: cfg}, func(t *testing.T, _ ClientTransport, p *h2peer.Peer) {
		check(t, p, http2.SettingEnablePush, 0)
	})
}

// Row A44: the connection's window exceeds the 65,535 octets that it starts
// with by what a WINDOW_UPDATE says behind the preface; a smaller one is held
// back, never announced as a negative number.
// Rows A28, B12: no increment underflows or is 0.
func TestConnWindow_Announced_IsTheDifference(t *testing.T) {
	for limit, update := range map[int32]uint32{0: DefaultConnWindow - 65535, 65536: 1, 65535: 0, 1000: 0} {
		inBareServer(t, ServerConfig{ConnConfig: ConnConfig{InitialConnWindowSize: limit, InitialWindowSize: 1000}}, func(ts *testServer) {
			ts.peer.WantSettings("the preface")
			if update > 0 {
				if n := ts.peer.WantWindowUpdate("the connection's window", 0); n != update {
					t.Errorf("a window of %d is announced by +%d, want +%d", limit, n, update)
				}
			}
			ts.peer.WantIdle("nothing else")
		})
	}
}

// https://www.rfc-editor.org/rfc/rfc9113#section-6.5.3
// Row A83: SETTINGS are acknowledged when they are applied: the limit holds for
// what comes after the acknowledgement, and each frame is acknowledged once;
// the last of several values of one setting counts. h2spec http2/6.5.3/1.
// Row A2: SETTINGS of a connection that begins are acknowledged.
func TestSettings_Received_AreAppliedThenAcknowledged(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		if err := st.Send(octets(95)); err != nil {
			t.Fatal(err)
		}
		ts.peer.WantHeaders("the answer", 1)
		ts.peer.Batch(func() {
			ts.peer.WriteSettings(window(10), window(30), http2.Setting{ID: 0x99, Val: 1})
			ts.peer.WriteSettings()
		})
		ts.peer.WantSettingsAck("the window is 30: values count in their order, unknown ones not")
		ts.peer.WantSettingsAck("an empty frame too")
		if d := ts.peer.WantData("then what the window allows", 1); d.Length != 30 {
			t.Errorf("%d octets in a window of 30", d.Length)
		}
	}, window(0))
}

// Row A83: a peer that does not acknowledge our SETTINGS is given up after the
// timeout, and the error names the option.
// Row C13: the wait for the acknowledgement has a bound.
func TestSettings_NotAcknowledged_EndTheConnection(t *testing.T) {
	synctestClient(t, ClientConfig{}, func(p *h2peer.Peer, made chan madeClient) {
		p.WriteSettings()
		p.WantSettings("the preface")
		p.Ignore(http2.FrameWindowUpdate)
		p.WantSettingsAck("ours are acknowledged")
		m := <-made
		simnet.Advance(DefaultSettingsTimeout - 1)
		if m.err != nil || m.ct.Err() != nil {
			t.Fatalf("ended early: %v, %v", m.err, m.ct.Err())
		}
		simnet.Advance(1)
		if g := p.WantGoAway("the time is over", http2.ErrCodeSettingsTimeout); !strings.Contains(g.Debug, "(option WithSettingsTimeout)") {
			t.Errorf("GOAWAY says %q", g.Debug)
		}
		<-m.ct.Done()
		wantConnError(t, m.ct.Err(), CodeSettingsTimeout, ByLocal)
	})
}

// madeClient is what NewHTTP2Client gave.
type madeClient struct {
	ct  ClientTransport
	err error
}

// synctestClient runs f as a server that has not sent its preface.
func synctestClient(t *testing.T, cfg ClientConfig, f func(p *h2peer.Peer, made chan madeClient)) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		p := h2peer.NewServer(t, b)
		ctx, cancel := context.WithTimeoutCause(t.Context(), timeToConnect, errTooSlow)
		defer cancel()
		f(p, async(func() madeClient {
			ct, err := NewHTTP2Client(ctx, a, cfg)
			return madeClient{ct, err}
		}))
	})
}

var errTooSlow = errors.New("too slow")

// HEADER_TABLE_SIZE bounds our encoder's table, from the block that follows
// the acknowledgement: the scripted peer refuses blocks that do not signal it.
// Row A57: a table of 0 octets works, and one that grows again.
func TestHeaderTableSize_OfThePeer_IsKept(t *testing.T) {
	table := func(n uint32) http2.Setting { return http2.Setting{ID: http2.SettingHeaderTableSize, Val: n} }
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		id := uint32(1)
		call := func() {
			t.Helper()
			for range 2 { // the second may refer to what the first put into the table
				md := metadata.Pairs("key", "value", "blob-bin", "\x00\xff")
				c := async(func() error {
					_, err := ct.NewStream(t.Context(), &Call{Method: "/s/Stream", Metadata: md})
					return err
				})
				h := p.WantHeaders("a call", id)
				if h.Get("key") != "value" || h.Get("blob-bin") != "AP8" || h.Get(":path") != "/s/Stream" {
					t.Errorf("headers are %v", h)
				}
				if err := <-c; err != nil {
					t.Fatal(err)
				}
				id += 2
			}
		}
		call()
		for _, n := range []uint32{4096, 100, 0, 4096} {
			p.WriteSettings(table(n))
			p.WantSettingsAck("the table's size changes")
			call()
		}
		p.WriteSettings(table(0), table(4096))
		p.WantSettingsAck("it was 0 in between")
		call()
	}, table(0))
}

// The table that we announce bounds the peer's encoder: one of 0 octets works.
// Row A27: a table size that is announced is applied.
func TestHeaderTableSize_OfOurs_IsKept(t *testing.T) {
	for _, n := range []uint32{64, 8192} {
		inServer(t, ServerConfig{ConnConfig: ConnConfig{HeaderTableSize: n}}, func(t *testing.T, ts *testServer) {
			for id := uint32(1); id < 9; id += 2 {
				st, _ := ts.open(id, "/s/Stream", "key", strings.Repeat("v", 100), "other", "value")
				if got := st.Metadata()["other"]; len(got) != 1 || got[0] != "value" {
					t.Errorf("metadata is %v", st.Metadata())
				}
			}
		})
	}
}

// Row C6: a table of 8,192 octets that is announced is there: the peer refers
// to an entry that one of 4,096 would have forgotten.
func TestHeaderTableSize_AboveTheDefault_IsApplied(t *testing.T) {
	inServer(t, ServerConfig{ConnConfig: ConnConfig{HeaderTableSize: 8192}}, func(t *testing.T, ts *testServer) {
		var block bytes.Buffer
		enc := hpack.NewEncoder(&block)
		enc.SetMaxDynamicTableSizeLimit(8192)
		enc.SetMaxDynamicTableSize(8192)
		value := strings.Repeat("v", 100)
		id := uint32(1)
		request := func(kv ...string) (octets int) {
			t.Helper()
			kv = append([]string{":method", "POST", ":scheme", "http", ":path", "/s/Stream", ":authority", "sim",
				"content-type", "application/grpc", "te", "trailers"}, kv...)
			block.Reset()
			for i := 0; i < len(kv); i += 2 {
				if err := enc.WriteField(hpack.HeaderField{Name: kv[i], Value: kv[i+1]}); err != nil {
					t.Fatal(err)
				}
			}
			ts.handle(func(st ServerStream) { st.WriteStatus(nil) })
			ts.peer.WriteHeadersRaw(id, block.Bytes(), true, true)
			st := <-ts.streams
			if got := st.Metadata().Get(kv[12]); len(got) != 1 || got[0] != kv[13] {
				t.Fatalf("metadata is %v, want %v", st.Metadata(), kv[12:])
			}
			ts.peer.WantTrailers("the handler saw it", id, codes.OK)
			id += 2
			return block.Len()
		}
		request("first", value)
		for i := range 45 { // 45 entries of some 140 octets
			request("k"+string(rune('a'+i/26))+string(rune('a'+i%26)), value)
		}
		if n := request("first", value); n > 40 {
			t.Errorf("the peer's encoder has forgotten the first entry, the block has %d octets", n)
		}
	})
}

// A call whose headers the server would not accept is not sent; trailers that
// the client would not accept are shortened, the status is never lost.
// Rows A26, C15: what the peer accepts bounds what is sent, what we accept does
// not, and a status that is too long for the peer is shortened.
func TestMaxHeaderListSize_OfThePeer_IsKept(t *testing.T) {
	limit := http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 1000}
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		_, err := ct.NewStream(t.Context(), &Call{Method: "/s/Stream", Metadata: metadata.Pairs("long", strings.Repeat("v", 1000))})
		if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "MAX_HEADER_LIST_SIZE") {
			t.Errorf("NewStream gave %v", err)
		}
		p.WantIdle("nothing was sent")
		openStream(t.Context(), t, ct, p, 1)
	}, limit)
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		if err := st.SetTrailer(metadata.Pairs("long", strings.Repeat("v", 1000))); err != nil {
			t.Fatal(err)
		}
		st.WriteStatus(status.New(codes.NotFound, strings.Repeat("long-story-", 200)))
		h := ts.peer.WantTrailers("the status arrives", 1, codes.NotFound)
		size := 0
		for _, f := range h.Fields {
			size += len(f.Name) + len(f.Value) + 32
		}
		if size > 1000 || !strings.HasPrefix(h.Get("grpc-message"), "long-story-") || h.Get("long") != "" {
			t.Errorf("a header list of %d octets: %v", size, h)
		}
	}, limit)
}

// What counts of a -bin value is its base64.
func TestMaxHeaderListSize_OfThePeer_CountsBase64(t *testing.T) {
	limit := http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 10_000}
	long := metadata.Pairs("long-bin", strings.Repeat("v", 8000))
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		_, err := ct.NewStream(t.Context(), &Call{Method: "/s/Stream", Metadata: long})
		if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "MAX_HEADER_LIST_SIZE") {
			t.Errorf("NewStream gave %v", err)
		}
		p.WantIdle("nothing was sent")
	}, limit)
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		if err := st.SetTrailer(long); err != nil {
			t.Fatal(err)
		}
		st.WriteStatus(status.New(codes.NotFound, "no"))
		if h := ts.peer.WantTrailers("the status arrives", 1, codes.NotFound); h.Get("long-bin") != "" {
			t.Error("more trailers come than the client takes")
		}
	}, limit)
}
