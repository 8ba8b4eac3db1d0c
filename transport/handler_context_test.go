package transport

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// foreignStream is as much of a ServerStream as a context needs.
type foreignStream struct {
	ServerStream
	peer *peer.Peer
	md   metadata.MD
}

func (s *foreignStream) Peer() *peer.Peer      { return s.peer }
func (s *foreignStream) Metadata() metadata.MD { return s.md }

type (
	belowKey struct{}
	ownerKey struct{}
)

func TestServerContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &foreignStream{peer: &peer.Peer{}, md: metadata.Pairs("k", "v")}
		cfg := &ServerConfig{ContextValue: func(got ServerStream, key any) any {
			if key == (ownerKey{}) && got == st {
				return "the owner's"
			}
			return nil
		}}
		base, endBase := context.WithCancel(context.WithValue(t.Context(), belowKey{}, "the base's"))
		deadline := time.Now().Add(time.Minute)
		ctx, timed := new(ServerContext), new(ServerContext)
		ctx.Begin(base, st, deadline, cfg)
		timed.Begin(base, st, deadline, &ServerConfig{})
		endBase()
		child, endChild := context.WithCancel(ctx)
		defer endChild()

		if p, ok := peer.FromContext(ctx); !ok || p != st.peer {
			t.Errorf("the peer is %v", p)
		}
		if md, _ := metadata.FromIncomingContext(ctx); md.Get("k")[0] != "v" {
			t.Errorf("the metadata is %v", md)
		}
		if v := ctx.Value(ownerKey{}); v != "the owner's" {
			t.Errorf("ContextValue is not asked: %v", v)
		}
		if v := child.Value(belowKey{}); v != "the base's" {
			t.Errorf("the base's value is %v", v)
		}
		if d, ok := ctx.Deadline(); !ok || !d.Equal(deadline) {
			t.Errorf("the deadline is %v, %t", d, ok)
		}
		if ctx.Err() != nil {
			t.Errorf("the end of the base has reached it: %v", ctx.Err())
		}

		why := &StreamError{Code: CodeCancel}
		ctx.End(why)
		ctx.End(errReturned)
		<-child.Done()
		if ctx.Err() != context.Canceled || context.Cause(ctx) != why || context.Cause(child) != why {
			t.Errorf("ended with %v, %v, its child with %v", ctx.Err(), context.Cause(ctx), context.Cause(child))
		}

		<-timed.Done()
		var e *StreamError
		if timed.Err() != context.DeadlineExceeded || !errors.As(context.Cause(timed), &e) || !time.Now().Equal(deadline) {
			t.Errorf("after the deadline %v, %v", timed.Err(), context.Cause(timed))
		}
	})
}
