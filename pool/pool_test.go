package pool_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/pool"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// Feature: Pool of Clients, shared by target and options
//
// Row A112: a Client is shared by who names the same target and the same
// options, and by nobody else; the counters say what there is.
func TestGet_SharesByTargetAndProfile(t *testing.T) {
	inTown(t, pool.Config{}, func(to *town) {
		a1, a2, b := to.get("a:1"), to.get("a:1"), to.get("b:1")
		other, err := to.pool.Get(to.t.Context(), "passthrough:///a:1", to.newProfile(weir.WithUserAgent("other")))
		if err != nil {
			to.t.Fatal(err)
		}
		for _, c := range []*pool.Conn{a1, a2, b, other} {
			to.call(c)
		}
		to.want(3, 3, 0)
		if st := to.pool.Stats(); st.Created != 3 || st.Reused != 1 || st.States[connectivity.Ready] != 3 {
			to.t.Errorf("%+v: want 3 created, 1 reused, 3 READY", st)
		}
		_ = a1.Close()
		_ = a1.Close() // gives back once
		to.want(3, 3, 0)
		to.call(a2)
		_ = a2.Close()
		to.want(3, 2, 0)
		if _, err := testpb.NewTestServiceClient(a2).EmptyCall(to.t.Context(), &testpb.Empty{}); status.Code(err) != codes.Canceled {
			to.t.Errorf("a call of a Conn that is closed: %v", err)
		}
		if _, err := testpb.NewTestServiceClient(a2).FullDuplexCall(to.t.Context()); status.Code(err) != codes.Canceled {
			to.t.Errorf("a stream of a Conn that is closed: %v", err)
		}
		to.want(3, 2, 0)
		again := to.get("a:1")
		if got := again.GetState(); got != connectivity.Ready {
			to.t.Errorf("the Client that was kept is %v", got)
		}
		_ = again.Close()
		_ = b.Close()
		_ = other.Close()
		to.want(3, 0, 0)
	})
}

// Row A112: where all Clients are in use Get waits, in order, as long as its
// context allows, and says what to change.
func TestGet_Full_Waits(t *testing.T) {
	inTown(t, pool.Config{MaxClients: 1}, func(to *town) {
		a := to.get("a:1")
		ctx, cancel := context.WithTimeout(to.t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := to.pool.Get(ctx, "passthrough:///b:1", to.profile)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "Config.MaxClients") || time.Since(began) != time.Second {
			to.t.Errorf("after %v: %v", time.Since(began), err)
		}
		to.want(1, 1, 0)

		b, c, b2 := to.ask(to.t.Context(), "b:1"), to.ask(to.t.Context(), "c:1"), to.ask(to.t.Context(), "b:1")
		to.want(1, 1, 3)
		a2 := to.ask(to.t.Context(), "a:1") // is there, so that it need not wait
		if a2.waits() {
			to.t.Fatal("a Client that is there is not shared while others wait")
		}
		_ = a.Close()
		if !b.waits() {
			to.t.Fatal("a Client in use was closed")
		}
		_ = a2.conn.Close()
		if b.waits() || b2.waits() || !c.waits() {
			to.t.Fatal("want that the first who waits comes first, and with it who wants the same")
		}
		to.call(b.conn)
		_ = b.conn.Close()
		to.call(b2.conn)
		to.want(1, 1, 1)
		_ = b2.conn.Close()
		if c.waits() {
			to.t.Fatal("the last one waits on")
		}
		to.call(c.conn)
		_ = c.conn.Close()
		if st := to.pool.Stats(); st.Evicted != 2 || st.Created != 3 {
			to.t.Errorf("%+v: want 3 created, 2 evicted", st)
		}
	})
}

// Who gives up when its turn has come passes it on.
func TestGet_GivesUp_TheNextComes(t *testing.T) {
	inTown(t, pool.Config{MaxClients: 1}, func(to *town) {
		a := to.get("a:1")
		ctx, cancel := context.WithCancel(to.t.Context())
		b, c := to.ask(ctx, "b:1"), to.ask(to.t.Context(), "c:1")
		// Both happen before either looks.
		cancel()
		_ = a.Close()
		if b.waits() || c.waits() {
			to.t.Fatal("somebody waits on")
		}
		if b.err == nil {
			_ = b.conn.Close()
		}
		if c.err != nil {
			to.t.Fatal(c.err)
		}
		to.call(c.conn)
		_ = c.conn.Close()
		to.want(1, 0, 0)
	})
}

// Row A113: the Client that is least recently used makes room, whichever was got
// first, and one that cannot reach its server before it.
func TestEviction(t *testing.T) {
	inTown(t, pool.Config{MaxClients: 2}, func(to *town) {
		to.use("a:1")
		to.use("b:1")
		to.use("a:1")
		to.use("c:1") // in the place of b
		if reused := to.pool.Stats().Reused; reused != 1 {
			to.t.Fatalf("%d reused", reused)
		}
		to.use("a:1")
		if reused := to.pool.Stats().Reused; reused != 2 {
			to.t.Error("a was evicted, which was used after b")
		}

		lost := to.get("nowhere:1") // in the place of c
		if _, err := testpb.NewTestServiceClient(lost).EmptyCall(to.t.Context(), &testpb.Empty{}); status.Code(err) != codes.Unavailable {
			to.t.Fatal(err)
		}
		_ = lost.Close()
		if n := to.pool.Stats().States[connectivity.TransientFailure]; n != 1 {
			to.t.Errorf("%d Clients fail", n)
		}
		to.use("b:1")
		to.use("a:1")
		if st := to.pool.Stats(); st.Reused != 3 || st.Evicted != 3 || st.States[connectivity.TransientFailure] != 0 {
			to.t.Errorf("%+v: want that the one which fails went, and not a", st)
		}
	})
}

// Feature: Idle Clients of a pool expire
//
// Row A113: a Client goes when nobody used it for the time, counted from the end
// of its last call; a call that runs is not cut, though its Conn be closed.
func TestExpiry_NeverCutsACall(t *testing.T) {
	const idle = 10 * time.Minute
	inTown(t, pool.Config{IdleTimeout: idle, MaxClients: 1}, func(to *town) {
		c := to.get("a:1")
		st := to.stream(c)
		_ = c.Close()
		simnet.Advance(3 * idle)
		to.want(1, 1, 0)
		if calls := to.pool.Stats().Calls; calls != 1 {
			to.t.Errorf("%d calls run, want 1", calls)
		}
		// Nor does it make room.
		ctx, cancel := context.WithTimeout(to.t.Context(), time.Minute)
		if _, err := to.pool.Get(ctx, "passthrough:///b:1", to.profile); !errors.Is(err, context.DeadlineExceeded) {
			to.t.Errorf("Get beside a call that runs: %v", err)
		}
		cancel()
		to.echo(st)
		to.finish(st)
		to.want(1, 0, 0)
		simnet.Advance(idle - time.Second)
		to.want(1, 0, 0)
		to.use("a:1")
		simnet.Advance(idle - time.Second)
		to.want(1, 0, 0)
		simnet.Advance(time.Second)
		to.want(0, 0, 0)
		if st := to.pool.Stats(); st.Expired != 1 || st.Created != 1 || st.Closing != 0 || st.Calls != 0 {
			to.t.Errorf("%+v: want 1 created and expired", st)
		}
	})
}

// Each Client has its own time, and a negative one is none.
func TestExpiry_OneByOne(t *testing.T) {
	inTown(t, pool.Config{}, func(to *town) {
		to.use("a:1")
		simnet.Advance(10 * time.Minute)
		to.use("b:1")
		simnet.Advance(pool.DefaultIdleTimeout - 10*time.Minute)
		to.want(1, 0, 0)
		simnet.Advance(10 * time.Minute)
		to.want(0, 0, 0)
	})
	inTown(t, pool.Config{IdleTimeout: -1}, func(to *town) {
		to.use("a:1")
		simnet.Advance(1000 * time.Hour)
		to.want(1, 0, 0)
	})
}

// A stream that cannot be opened, and one whose context ends, leave no trace.
func TestStreams_ThatFail_AreOver(t *testing.T) {
	inTown(t, pool.Config{}, func(to *town) {
		c := to.get("a:1")
		ctx, cancel := context.WithCancel(to.t.Context())
		if _, err := testpb.NewTestServiceClient(c).FullDuplexCall(ctx); err != nil {
			to.t.Fatal(err)
		}
		cancel()
		if _, err := testpb.NewTestServiceClient(c).FullDuplexCall(ctx); status.Code(err) != codes.Canceled {
			to.t.Error(err)
		}
		_ = c.Close()
		to.want(1, 0, 0)
		if st := to.pool.Stats(); st.Calls != 0 {
			to.t.Errorf("%d calls run", st.Calls)
		}
	})
}

// Options that are wrong are an error at once, for all who wait, and hold no
// place.
func TestGet_WrongOptions(t *testing.T) {
	inTown(t, pool.Config{MaxClients: 1}, func(to *town) {
		for range 3 {
			if _, err := to.pool.Get(to.t.Context(), "passthrough:///a:1", pool.NewProfile()); err == nil || !strings.Contains(err.Error(), "WithTransportCredentials") {
				to.t.Errorf("without credentials: %v", err)
			}
		}
		if _, err := to.pool.Get(to.t.Context(), "passthrough:///a:1", nil); err == nil || !strings.Contains(err.Error(), "NewProfile") {
			to.t.Errorf("without a Profile: %v", err)
		}
		to.want(0, 0, 0)
		if st := to.pool.Stats(); st.Failed != 3 || st.Created != 0 {
			to.t.Errorf("%+v: want 3 failed, and none created", st)
		}
		to.use("a:1")
	})
}

// Close ends calls and those who wait, and leaves nothing: no connection, no
// goroutine, no timer.
func TestClose(t *testing.T) {
	inTown(t, pool.Config{MaxClients: 2}, func(to *town) {
		a := to.get("a:1")
		st := to.stream(a)
		to.use("b:1")
		b := to.get("b:1")
		c := to.ask(to.t.Context(), "c:1")
		if !c.waits() {
			to.t.Fatal("there are two Clients, and a third")
		}
		if err := to.pool.Close(); err != nil {
			to.t.Error(err)
		}
		synctest.Wait()
		if c.waits() || !errors.Is(c.err, pool.ErrClosed) {
			to.t.Errorf("who waits gets %v", c.err)
		}
		if _, err := st.Recv(); status.Code(err) != codes.Unavailable {
			to.t.Errorf("the stream ended with %v", err)
		}
		if _, err := testpb.NewTestServiceClient(b).EmptyCall(to.t.Context(), &testpb.Empty{}); status.Code(err) != codes.Canceled {
			to.t.Errorf("a call after Close: %v", err)
		}
		if _, err := to.pool.Get(to.t.Context(), "passthrough:///a:1", to.profile); !errors.Is(err, pool.ErrClosed) {
			to.t.Errorf("Get after Close: %v", err)
		}
		_ = a.Close()
		_ = b.Close()
		to.want(0, 0, 0)
	})
}

// Many goroutines share a few Clients of more targets than there is room for: no
// call is cut, there are never too many, and the books balance.
func TestConcurrently(t *testing.T) {
	inTown(t, pool.Config{MaxClients: 2, IdleTimeout: 5 * time.Millisecond}, func(to *town) {
		var users sync.WaitGroup
		for i := range 16 {
			users.Go(func() {
				r := rand.New(rand.NewPCG(1, uint64(i)))
				for range 40 {
					c := to.get([]string{"a:1", "b:1", "c:1"}[r.IntN(3)])
					if n := to.pool.Stats().Clients; n > 2 {
						to.t.Errorf("%d Clients", n)
					}
					if r.IntN(2) == 0 {
						to.call(c)
						_ = c.Close()
					} else {
						st := to.stream(c)
						_ = c.Close()
						to.echo(st)
						to.finish(st)
					}
					pause(r)
				}
			})
		}
		users.Wait()
		synctest.Wait()
		st := to.pool.Stats()
		if st.InUse != 0 || st.Calls != 0 || st.Waiting != 0 || st.Created+st.Reused != 16*40 ||
			st.Created != st.Evicted+st.Expired+uint64(st.Clients) {
			to.t.Errorf("the books do not balance: %+v", st)
		}
	})
}

// pause lets up to 10 ms pass.
func pause(r *rand.Rand) {
	<-time.After(time.Duration(r.IntN(10)) * time.Millisecond)
}
