package weir

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/weir-rpc/weir/internal/channel"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/internal/serviceconfig"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Metadata of retries.
const (
	pushbackKey = "grpc-retry-pushback-ms"
	previousKey = "grpc-previous-rpc-attempts"
)

// retries are the attempts of one call after its first: those that nobody has
// to know of, and those of a retry policy.
//
// "In the first case, in which the RPC never leaves the client, the client
// library can transparently retry until a success occurs, or the RPC's deadline
// passes. If the RPC reaches the gRPC server library, but has never been seen by
// the server application logic (the second case), the client library will
// immediately retry it once. If this fails, then the RPC will be handled by the
// configured retry policy."
// https://github.com/grpc/proposal/blob/master/A6-client-retries.md#transparent-retries
type retries struct {
	refused     bool   // a server has refused the call
	transparent bool   // the latest attempt is of the first kind
	attempts    uint32 // of a stream

	policy   *serviceconfig.Retry // nil if there is none, or no more
	throttle *throttle
	made     int32 // by the policy
	backoffs int32 // of them, since the server said when
}

// begin takes the policy of a call.
func (r *retries) begin(ci *callInfo) {
	if ci.method != nil {
		r.policy, r.throttle = ci.policy(), ci.service.throttle
	}
}

// again reports whether a call whose attempt failed is to be tried again, and
// nobody has to know.
func (r *retries) again(ctx context.Context, err error) bool {
	var se *transport.StreamError
	if !errors.As(err, &se) || !se.Unprocessed || ctx.Err() != nil {
		return false
	}
	if se.Unsent {
		// Else the context has ended that a stats handler gave the attempt.
		r.transparent = se.Status.Code() == codes.Unavailable
		return r.transparent
	}
	first := !r.refused
	r.refused, r.transparent = true, first
	return first
}

// later reports whether the policy has a call tried again whose attempt failed
// with err, before headers of the server came, and after what time. pushback is
// what the server says of that. It is asked once an attempt.
func (r *retries) later(err error, pushback []string) (delay time.Duration, ok bool) {
	if r.policy == nil || channel.Dropped(err) {
		return 0, false
	}
	r.transparent = false
	p := r.policy
	wanted, said, ok := parsePushback(pushback)
	switch {
	case !ok:
		r.throttle.failed()
		return 0, false
	case !p.Codes.Has(status.Code(err)):
		return 0, false
	case !r.throttle.failed() || int(r.made)+1 >= p.MaxAttempts:
		return 0, false
	}
	r.made++
	if said {
		r.backoffs = 0
		return wanted, true
	}
	r.backoffs++
	return p.Backoff(int(r.backoffs)-1, rand.Float64()), true
}

// parsePushback reads how long a server wants a client to wait, if it says. It
// reports false if it wants no more attempts.
//
// "If the value for pushback is negative or unparseble, then it will be seen as
// the server asking the client not to retry at all."
// https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback
func parsePushback(values []string) (d time.Duration, said, ok bool) {
	switch len(values) {
	case 0:
		return 0, false, true
	case 1:
		ms, err := strconv.ParseInt(values[0], 10, 32)
		return time.Duration(ms) * time.Millisecond, true, err == nil && ms >= 0
	}
	return 0, true, false
}

// pause waits before the next attempt, while ctx lasts and the Client is open.
// Else it gives the error that the call ends with; cause is that of the latest
// attempt.
func (c *Client) pause(ctx context.Context, d time.Duration, cause error) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.ch.Closed():
		return errClosed
	case <-ctx.Done():
		s := status.FromContextError(ctx.Err())
		return status.Errorf(s.Code(), "%s while the call waited %v for its next attempt; the latest one failed: %v", s.Message(), d, cause)
	}
}

// numbered gives the metadata of an attempt that others came before. md stays
// as it is.
//
// "This value represents the number of preceding retry attempts. Thus, it will
// not be present on the first RPC, will be 1 for the second RPC, and so on."
// https://github.com/grpc/proposal/blob/master/A6-client-retries.md#exposed-retry-metadata
func numbered(md metadata.MD, previous int) metadata.MD {
	if previous == 0 {
		return md
	}
	if md = maps.Clone(md); md == nil {
		md = make(metadata.MD, 1)
	}
	md[previousKey] = []string{strconv.Itoa(previous)}
	return md
}

// retry waits until the policy has a unary call tried again whose attempt
// failed with err. Else it gives what the call ends with.
func (c *Client) retry(ctx context.Context, inv *invocation, err error) (again bool, end error) {
	if inv.reply.GotHeader() {
		return false, err
	}
	delay, ok := inv.retries.later(err, inv.reply.Trailer()[pushbackKey])
	if !ok {
		return false, err
	}
	inv.tried = inv.pick.Next()
	end = c.pause(ctx, delay, err)
	return end == nil, end
}

// kept is the request of a unary call that has a policy: it is encoded once.
type kept struct {
	message transport.Buffer
	size    int // before it was compressed
	there   bool
}

// request gives the message of a unary call, for one attempt.
func (inv *invocation) request(args any, comp encoding.Compressor) (m transport.Buffer, size int, err error) {
	k := &inv.kept
	if k.there {
		return duplicate(k.message), k.size, nil
	}
	m, size, err = inv.info.encode(args, comp)
	switch {
	case inv.retries.policy == nil:
	case err != nil, grpcwire.PrefixLen+m.Len() > inv.info.maxReplay:
		inv.retries.policy = nil
	default:
		k.message, k.size, k.there = duplicate(m), size, true
	}
	return m, size, err
}

func duplicate(m transport.Buffer) transport.Buffer {
	if m.Value() != nil {
		return m // which may be sent again
	}
	c := transport.NewBuffer(m.Len())
	c.Compressed = m.Compressed
	copy(c.Bytes(), m.Bytes())
	return c
}
