package h2peer

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// late does f when all that the client does at once is done.
func late(f func(p *Peer)) func(p *Peer) {
	return func(p *Peer) {
		<-time.NewTimer(second).C
		f(p)
	}
}

// TestStep has the server do something and the client want something, which
// holds or not.
func TestStep(t *testing.T) {
	eight := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	nine := [8]byte{9}
	tests := []struct {
		name  string
		play  func(p *Peer)
		want  func(p *Peer)
		fails []string // words of the complaint; none if the step holds
	}{
		{"settings", func(p *Peer) { p.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 7}) },
			func(p *Peer) {
				p.WantSettings("s")
				if p.Settings[http2.SettingMaxConcurrentStreams] != 7 {
					p.t.Fatalf("settings are %v", p.Settings)
				}
			}, nil},
		{"an ack is no settings", late((*Peer).WriteSettingsAck), func(p *Peer) {
			p.WriteSettings()
			p.WantSettings("the sentence")
		}, []string{"the sentence", "wanted: SETTINGS\n", "got:    SETTINGS ACK"}},
		{"ack", late((*Peer).WriteSettingsAck), func(p *Peer) { p.WriteSettings(); p.WantSettingsAck("s") }, nil},
		{"ack of nothing", func(p *Peer) { p.WriteSettingsAck() }, func(p *Peer) { p.WantSettingsAck("s") }, []string{"SETTINGS that were not written"}},
		{"settings are no ack", func(p *Peer) { p.WriteSettings() }, func(p *Peer) { p.WantSettingsAck("s") }, []string{"wanted: SETTINGS ACK"}},

		{"headers", func(p *Peer) { p.WriteHeaders(1, true, "a", "1", "b", "2", "a", "3") },
			func(p *Peer) {
				h := p.WantHeaders("s", 1)
				if h.Get("a") != "1" || h.Get("c") != "" || len(h.Values("a")) != 2 || !h.EndStream || h.StreamID != 1 || h.String() != "a=1 b=2 a=3" {
					p.t.Fatalf("%+v", h)
				}
			}, nil},
		{"headers in three frames", func(p *Peer) { p.WriteHeaders(1, false, "a", strings.Repeat("~", 40_000)) },
			func(p *Peer) {
				if h := p.WantHeaders("s", 1); len(h.Fragments) != 3 || h.Fragments[0] != 16384 || len(h.Get("a")) != 40_000 {
					p.t.Fatalf("%+v", h.Fragments)
				}
			}, nil},
		{"headers by hand", func(p *Peer) {
			block := p.Encode("a", "1")
			p.WriteHeadersRaw(1, block[:1], false, false)
			p.WriteContinuation(1, true, block[1:])
		}, func(p *Peer) { p.WantHeaders("s", 1) }, nil},
		{"another stream", func(p *Peer) { p.WriteHeaders(3, false, "a", "1") }, func(p *Peer) { p.WantHeaders("s", 1) },
			[]string{"wanted: HEADERS stream 1", "got:    HEADERS stream 3 a=1"}},
		{"another type", func(p *Peer) { p.WriteReset(1, http2.ErrCodeCancel) }, func(p *Peer) { p.WantHeaders("s", 1) },
			[]string{"got:    RST_STREAM stream 1 CANCEL"}},
		{"nothing", func(*Peer) {}, func(p *Peer) { p.WantHeaders("s", 1) }, []string{"got:    nothing in 10s"}},
		{"nothing for longer", func(*Peer) {}, func(p *Peer) { p.SetLimit(time.Hour); p.WantHeaders("s", 1) }, []string{"got:    nothing in 1h0m0s"}},
		{"broken header block", func(p *Peer) { p.WriteHeadersRaw(1, []byte{0xff, 0xff}, false, true) },
			func(p *Peer) { p.WantHeaders("s", 1) }, []string{"stream 1 that does not decode"}},
		{"unfinished header block", func(p *Peer) { p.WriteHeadersRaw(1, nil, false, false); p.WritePing(eight) },
			func(p *Peer) { p.WantHeaders("s", 1) }, []string{"malformed frame", "PING"}},
		{"connection ends within a header block", func(p *Peer) { p.WriteHeadersRaw(1, nil, false, false); p.Close() },
			func(p *Peer) { p.WantHeaders("s", 1) }, []string{"the end of the connection (EOF)"}},
		{"too large a frame", func(p *Peer) { p.WriteData(1, false, make([]byte, 16385)) },
			func(p *Peer) { p.WantData("s", 1) }, []string{"16385 octets, where 16384 is the most"}},
		{"too large a continuation", func(p *Peer) {
			p.WriteHeadersRaw(1, nil, false, false)
			p.WriteContinuation(1, true, make([]byte, 16385))
		}, func(p *Peer) { p.WantHeaders("s", 1) }, []string{"CONTINUATION frame of 16385 octets"}},

		{"trailers", func(p *Peer) { p.WriteTrailers(1, codes.Internal, "why") },
			func(p *Peer) {
				if h := p.WantTrailers("s", 1, codes.Internal); h.Get("grpc-message") != "why" || h.Get(":status") != "" {
					p.t.Fatalf("%v", h)
				}
			}, nil},
		{"trailers only", func(p *Peer) { p.WriteTrailersOnly(1, codes.OK, "", "x", "y") },
			func(p *Peer) {
				if h := p.WantTrailers("s", 1, codes.OK); h.String() != ":status=200 content-type=application/grpc grpc-status=0 x=y" {
					p.t.Fatalf("%v", h)
				}
			}, nil},
		{"another status", func(p *Peer) { p.WriteTrailers(1, codes.OK, "") },
			func(p *Peer) { p.WantTrailers("s", 1, codes.Internal) }, []string{"END_STREAM grpc-status=13", "END_STREAM grpc-status=0"}},
		{"headers are no trailers", func(p *Peer) { p.WriteHeaders(1, false, "grpc-status", "0") },
			func(p *Peer) { p.WantTrailers("s", 1, codes.OK) }, []string{"wanted: HEADERS stream 1 END_STREAM"}},

		{"data", func(p *Peer) { p.WriteData(1, true, []byte("abc")) },
			func(p *Peer) {
				if d := p.WantData("s", 1); string(d.Data) != "abc" || !d.EndStream || d.Length != 3 {
					p.t.Fatalf("%+v", d)
				}
			}, nil},
		{"padded data", func(p *Peer) { p.WriteDataPadded(1, false, []byte("abc"), 10) },
			func(p *Peer) {
				if d := p.WantData("s", 1); string(d.Data) != "abc" || d.EndStream || d.Length != 14 {
					p.t.Fatalf("%+v", d)
				}
			}, nil},
		{"messages across frames", func(p *Peer) {
			two := append(Message([]byte("hello")), Message([]byte(""))...)
			for i, c := range two {
				p.WriteData(1, i == len(two)-1, []byte{c})
			}
		}, func(p *Peer) {
			if a, b := p.WantMessage("s", 1), p.WantMessage("s", 1); string(a) != "hello" || len(b) != 0 {
				p.t.Fatalf("%q, %q", a, b)
			}
			p.WantEndStream("s", 1)
		}, nil},
		{"two messages in a frame and a late end", func(p *Peer) {
			p.WriteData(1, false, append(Message([]byte("a")), Message([]byte("b"))...))
			p.WriteData(1, true, nil)
		}, func(p *Peer) {
			p.WantMessage("s", 1)
			p.WantMessage("s", 1)
			p.WantEndStream("s", 1)
		}, nil},
		{"half a message", func(p *Peer) { p.WriteData(1, true, Message([]byte("hello"))[:7]) },
			func(p *Peer) { p.WantMessage("s", 1) }, []string{"the end of the stream after 7 of 10 octets"}},
		{"compressed message", func(p *Peer) { p.WriteData(1, false, []byte{1, 0, 0, 0, 0}) },
			func(p *Peer) { p.WantMessage("s", 1) }, []string{"whose first octet is 1"}},
		{"no end", func(p *Peer) { p.WriteMessage(1, false, []byte("a")); p.WriteMessage(1, true, []byte("b")) },
			func(p *Peer) { p.WantMessage("s", 1); p.WantEndStream("s", 1) }, []string{"wanted: END_STREAM", "got:    DATA"}},
		{"octets before the end", func(p *Peer) { p.WriteData(1, true, append(Message([]byte("a")), 0)) },
			func(p *Peer) { p.WantMessage("s", 1); p.WantEndStream("s", 1) }, []string{"1 octets more than were taken"}},

		{"reset", func(p *Peer) { p.WriteReset(1, http2.ErrCodeCancel) }, func(p *Peer) { p.WantReset("s", 1, http2.ErrCodeCancel) }, nil},
		{"another code", func(p *Peer) { p.WriteReset(1, http2.ErrCodeCancel) }, func(p *Peer) { p.WantReset("s", 1, http2.ErrCodeNo) },
			[]string{"wanted: RST_STREAM stream 1 NO_ERROR", "got:    RST_STREAM stream 1 CANCEL"}},
		{"goaway", func(p *Peer) { p.WriteGoAway(5, http2.ErrCodeEnhanceYourCalm, "too_many_pings") },
			func(p *Peer) {
				if g := p.WantGoAway("s", http2.ErrCodeEnhanceYourCalm); g.LastStreamID != 5 || g.Debug != "too_many_pings" {
					p.t.Fatalf("%+v", g)
				}
			}, nil},
		{"goaway with another code", func(p *Peer) { p.WriteGoAway(5, http2.ErrCodeNo, "bye") },
			func(p *Peer) { p.WantGoAway("s", http2.ErrCodeProtocol) }, []string{`GOAWAY last stream 5 NO_ERROR "bye"`}},
		{"window update", func(p *Peer) { p.WriteWindowUpdate(1, 99) },
			func(p *Peer) {
				if n := p.WantWindowUpdate("s", 1); n != 99 {
					p.t.Fatalf("%d", n)
				}
			}, nil},
		{"window update of the connection", func(p *Peer) { p.WriteWindowUpdate(0, 99) },
			func(p *Peer) { p.WantWindowUpdate("s", 1) }, []string{"got:    WINDOW_UPDATE +99"}},
		{"illegal window update", func(p *Peer) { p.WriteWindowUpdate(1, 0) },
			func(p *Peer) { p.WantWindowUpdate("s", 1) }, []string{"malformed frame"}},
		{"ping", func(p *Peer) { p.WritePing(eight) },
			func(p *Peer) {
				if d := p.WantPing("s"); d != eight {
					p.t.Fatalf("%v", d)
				}
			}, nil},
		{"ping ack", func(p *Peer) { p.WritePingAck(eight) }, func(p *Peer) { p.WantPingAck("s", eight) }, nil},
		{"an ack is no ping", func(p *Peer) { p.WritePingAck(eight) }, func(p *Peer) { p.WantPing("s") }, []string{"got:    PING ACK"}},
		{"a ping is no ack", func(p *Peer) { p.WritePing(eight) }, func(p *Peer) { p.WantPingAck("s", eight) }, []string{"got:    PING 01"}},
		{"ack of another ping", func(p *Peer) { p.WritePingAck(nine) }, func(p *Peer) { p.WantPingAck("s", eight) }, []string{"got:    PING ACK 09"}},
		{"priority", func(p *Peer) { p.WritePriority(1, http2.PriorityParam{Weight: 3}) },
			func(p *Peer) { p.WantPing("s") }, []string{"got:    PRIORITY stream 1 5 octets"}},

		{"closed", func(p *Peer) { p.Close() }, func(p *Peer) { p.WantClosed("s") }, nil},
		{"not closed", func(*Peer) {}, func(p *Peer) { p.WantClosed("s") }, []string{"wanted: the end of the connection", "nothing in 10s"}},
		{"a frame before the end", func(p *Peer) { p.WritePing(eight); p.Close() },
			func(p *Peer) { p.Ignore(http2.FramePing); p.WantClosed("s") }, []string{"got:    PING"}},
		{"own close", func(*Peer) {}, func(p *Peer) { p.Close(); p.WantClosed("s") }, []string{"use of closed network connection"}},
		{"the end comes too early", func(p *Peer) { p.Close() }, func(p *Peer) { p.WantPing("s") }, []string{"the end of the connection (EOF)"}},

		{"idle", func(*Peer) {}, func(p *Peer) { p.WantIdle("s") }, nil},
		{"idle but for what is ignored", func(p *Peer) { p.WritePing(eight) },
			func(p *Peer) { p.Ignore(http2.FramePing); p.WantIdle("s") }, nil},
		{"not idle", func(p *Peer) { p.WritePing(eight) }, func(p *Peer) { p.WantIdle("s") }, []string{"wanted: nothing", "got:    PING"}},
		{"dead, not idle", func(p *Peer) { p.Close() }, func(p *Peer) { p.WantIdle("s") }, []string{"connection that lives", "the end of the connection"}},

		{"ignored frames pass", func(p *Peer) { p.WritePing(eight); p.WriteWindowUpdate(0, 1); p.WriteReset(1, 0) },
			func(p *Peer) {
				p.Ignore(http2.FramePing, http2.FrameWindowUpdate)
				p.WantReset("s", 1, 0)
			}, nil},
		{"what is wanted is not ignored", func(p *Peer) { p.WriteWindowUpdate(0, 1); p.WritePing(eight) },
			func(p *Peer) {
				p.Ignore(http2.FramePing, http2.FrameWindowUpdate)
				p.WantPing("s")
			}, nil},
		{"streams in any order", func(p *Peer) {
			p.WriteHeaders(3, false, "s", "3")
			p.WritePing(eight)
			p.WriteHeaders(1, false, "s", "1")
			p.WriteReset(3, 0)
			p.Close()
		}, func(p *Peer) {
			p.AnyOrder()
			p.WantHeaders("s", 1)
			p.WantHeaders("s", 3)
			p.WantPing("s")
			p.WantReset("s", 3, 0)
			p.WantClosed("s")
		}, nil},
		{"one stream has its order", func(p *Peer) {
			p.WriteReset(3, 0)
			p.WriteReset(1, 0)
			p.WriteHeaders(1, false, "s", "1")
		}, func(p *Peer) { p.AnyOrder(); p.WantHeaders("s", 1) }, []string{"got:    RST_STREAM stream 1"}},
		{"a stream that says nothing", func(p *Peer) { p.WriteReset(3, 0) },
			func(p *Peer) { p.AnyOrder(); p.WantHeaders("s", 1) }, []string{"nothing in 10s"}},

		{"an unknown frame is a frame", func(p *Peer) { p.WriteFrame(0x42, 0, 0, []byte("x")) },
			func(p *Peer) { p.WantIdle("s") }, []string{"UNKNOWN_FRAME_TYPE_66 1 octets"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			shaken(t, func(t *testing.T, s *script, client, server *Peer) {
				done := make(chan struct{})
				go func() {
					defer close(done)
					tt.play(server)
				}()
				synctest.Wait()
				complaint := s.run(func() { tt.want(client) })
				<-done
				if tt.fails == nil && complaint != "" {
					t.Errorf("the step does not hold:\n%s", complaint)
				}
				if tt.fails != nil && complaint == "" {
					t.Error("the step holds")
				}
				for _, words := range tt.fails {
					if !strings.Contains(complaint, words) {
						t.Errorf("the complaint does not say %q:\n%s", words, complaint)
					}
				}
			})
		})
	}
}

// TestComplaintHasTrace reads a whole complaint.
func TestComplaintHasTrace(t *testing.T) {
	shaken(t, func(t *testing.T, s *script, client, server *Peer) {
		client.WriteRequest(1, "/a/b", nil, true)
		server.WriteResponse(1, []byte("hi"))
		complaint := s.run(func() {
			client.WantHeaders("the server answers", 1)
			client.WantTrailers("and ends", 1, codes.OK)
		})
		_, complaint, _ = strings.Cut(complaint, "h2peer: ")
		const want = `and ends
	wanted: HEADERS stream 1 END_STREAM grpc-status=0
	got:    DATA stream 1 7 octets "\x00\x00\x00\x00\x02hi"
trace (-> peer, <- subject):
`
		if !strings.HasPrefix(complaint, want) {
			t.Errorf("complaint:\n%s\nwant it to start:\n%s", complaint, want)
		}
		at := 0
		for _, line := range []string{
			"-> PREFACE", "-> SETTINGS", "-> the batch", "ok: the subject's preface", "-> SETTINGS ACK",
			"ok: the subject acknowledges", "-> HEADERS stream 1 END_STREAM :method=POST", ":path=/a/b", "<- HEADERS stream 1 :status=200", "ok: the server answers",
		} {
			i := strings.Index(complaint[at:], line)
			if i < 0 {
				t.Fatalf("the trace does not say %q after %q:\n%s", line, complaint[:at], complaint)
			}
			at += i
		}
	})
}

func TestLongTraceIsCut(t *testing.T) {
	tr := &trace{start: time.Now()}
	for i := range traceLines + 5 {
		tr.note("line %d", i)
	}
	s := tr.String()
	if !strings.HasPrefix(s, "\t(5 earlier lines)\n") || strings.Contains(s, "line 4\n") || !strings.Contains(s, "line 5\n") || strings.Count(s, "\n") != traceLines+1 {
		t.Error(s)
	}
}

func TestWantIdleOutsideBubble(t *testing.T) {
	s := new(script)
	p := &Peer{t: s}
	if complaint := s.run(func() { p.WantIdle("quiet") }); !strings.Contains(complaint, "outside a synctest bubble") {
		t.Errorf("complaint %q", complaint)
	}
}
