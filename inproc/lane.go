package inproc

import (
	"context"

	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/internal/sched"
	"github.com/weir-rpc/weir/internal/wait"
	"github.com/weir-rpc/weir/transport"
)

// lane is one direction of a stream: the messages that were sent and not
// received. One goroutine at a time sends, and one receives. Guarded by
// stream.Mu.
type lane struct {
	window   int // octets that may wait before the sender does
	octets   int // that wait, prefixes included
	messages sched.Queue[transport.Buffer]
	first    [1]transport.Buffer // backs messages at first
	ended    bool                // nothing more is sent
	sent     uint64

	// Made when somebody first waits: news is for who receives, room for who
	// sends.
	news, room chan struct{}
}

func (l *lane) init(window int) {
	l.window = window
	l.messages.Use(l.first[:])
}

// full reports whether the sender has to wait.
func (l *lane) full() bool { return l.octets >= l.window }

// push adds a message, however large.
func (l *lane) push(m transport.Buffer) {
	l.messages.Push(m)
	l.octets += weight(m)
	l.sent++
	signal(l.news)
}

// pop takes the oldest message, if there is one.
func (l *lane) pop() (m transport.Buffer, ok bool) {
	if l.messages.Len() == 0 {
		return m, false
	}
	m = l.messages.Pop()
	was := l.full()
	l.octets -= weight(m)
	if was && !l.full() {
		signal(l.room)
	}
	return m, true
}

// weight is what a message takes of the window, in octets. Of a value nobody
// knows.
func weight(m transport.Buffer) int {
	if m.Value() != nil {
		return valueWeight
	}
	return grpcwire.PrefixLen + m.Len()
}

const valueWeight = 4 << 10

// count is how many messages wait.
func (l *lane) count() int { return l.messages.Len() }

// end says that nothing more is sent.
func (l *lane) end() {
	l.ended = true
	l.wake()
}

// drop frees what waits: nobody will receive it.
func (l *lane) drop() {
	for m, ok := l.pop(); ok; m, ok = l.pop() {
		m.Free()
	}
}

// wake has both ends look again.
func (l *lane) wake() {
	signal(l.news)
	signal(l.room)
}

// signal wakes who waits at c, now or when it comes. Nobody does if c is nil.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// background is for waits that the end of the stream ends.
var background = context.Background()

// awaitRoom waits until the receiver has taken something, or ctx ends, with st.Mu,
// which it lets go of meanwhile.
func (st *stream) awaitRoom(ctx context.Context, l *lane) error {
	if l.room == nil {
		l.room = make(chan struct{}, 1)
	}
	room := l.room
	st.Mu.Unlock()
	err := wait.For(ctx, wait.StreamWindow, wait.Holder{}, room)
	st.Mu.Lock()
	return err
}

// awaitNews waits until the sender has sent something, with st.Mu, which it
// lets go of meanwhile.
func (st *stream) awaitNews(l *lane) {
	if l.news == nil {
		l.news = make(chan struct{}, 1)
	}
	news := l.news
	st.Mu.Unlock()
	_ = wait.For(background, wait.Peer, wait.Holder{}, news)
	st.Mu.Lock()
}
