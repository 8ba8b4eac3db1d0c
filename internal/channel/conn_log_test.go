package channel

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/peer"
)

// levels is a slog.Handler that remembers levels.
type levels struct{ all []slog.Level }

func (*levels) Enabled(context.Context, slog.Level) bool { return true }
func (l *levels) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l *levels) WithGroup(string) slog.Handler          { return l }
func (l *levels) Handle(_ context.Context, r slog.Record) error {
	l.all = append(l.all, r.Level)
	return nil
}

// over is a connection that has ended.
type over struct{ err error }

func (over) Peer() *peer.Peer { return &peer.Peer{} } // of a network without addresses
func (o over) Err() error     { return o.err }

// Ends that are nobody's fault are on the level debug, others are warnings.
func TestConnLog_Ends(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want slog.Level
	}{
		{"closed here", &transport.ConnError{By: transport.ByLocal}, slog.LevelDebug},
		{"closed by the peer", &transport.ConnError{By: transport.ByPeer, Cause: io.EOF}, slog.LevelDebug},
		{"idle", &transport.ConnError{By: transport.ByLocal, Cause: transport.ErrIdle}, slog.LevelDebug},
		{"the socket was closed", &transport.ConnError{By: transport.ByLocal, Cause: net.ErrClosed}, slog.LevelDebug},
		{"not known", nil, slog.LevelDebug},
		{"broken", &transport.ConnError{By: transport.ByNetwork}, slog.LevelWarn},
		{"a code of the peer", &transport.ConnError{By: transport.ByPeer, Code: transport.CodeEnhanceYourCalm}, slog.LevelWarn},
		{"a code of ours", &transport.ConnError{By: transport.ByLocal, Code: transport.CodeProtocol}, slog.LevelWarn},
		{"a peer that does not read", &transport.ConnError{By: transport.ByLocal, Cause: transport.ErrWriteTimeout}, slog.LevelWarn},
	} {
		h := new(levels)
		NewConnLog(slog.New(h)).Ends(over{tt.err})
		if len(h.all) != 1 || h.all[0] != tt.want {
			t.Errorf("%s: the levels are %v, want %v", tt.name, h.all, tt.want)
		}
	}
}

// A refusal is a warning, but not more than once a second, and not if the client
// has said nothing.
func TestConnLog_Refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nc, far := simnet.Pipe(simnet.Link{})
		defer nc.Close()
		defer far.Close()
		h := new(levels)
		l := NewConnLog(slog.New(h))
		fault := errors.New("no certificate")
		for range 3 {
			l.Refused(nc, fault)
		}
		simnet.Advance(time.Second)
		l.Refused(nc, io.EOF)
		l.Refused(nc, &transport.ConnError{By: transport.ByNetwork})
		l.Refused(nc, &transport.ConnError{By: transport.ByNetwork, Received: 1})
		want := []slog.Level{slog.LevelWarn, slog.LevelDebug, slog.LevelDebug, slog.LevelDebug, slog.LevelDebug, slog.LevelWarn}
		if !slices.Equal(h.all, want) {
			t.Errorf("the levels are %v, want %v", h.all, want)
		}
	})
}

// Without a logger there is nothing to log to, and nothing fails.
func TestConnLog_None(t *testing.T) {
	l := NewConnLog(nil)
	if l != nil {
		t.Fatal("there is a log")
	}
	l.Begins(over{})
	l.Ends(over{})
	l.Over(nil, nil, nil)
	l.Refused(nil, nil)
}
