package transport

import (
	"context"
	"errors"
	"time"
)

// expectSettings bounds the wait for the server's SETTINGS on a connection
// whose calls do not wait for them, and nobody else does.
//
// "To avoid unnecessary latency, clients are permitted to send additional frames
// to the server immediately after sending the client connection preface, without
// waiting to receive the server connection preface."
// https://www.rfc-editor.org/rfc/rfc9113#section-3.4
func (t *http2Client) expectSettings(ctx context.Context) {
	within := t.conn.cfg.settingsTimeout()
	if deadline, ok := ctx.Deadline(); ok {
		within = max(time.Until(deadline), 1)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if within > 0 && !t.settings.seen && t.life != lifeClosed {
		t.greeting = time.AfterFunc(within, t.settingsMissing)
	}
}

// settingsMissing ends the connection of a server that accepted it and never
// spoke. What has become of its calls nobody knows.
func (t *http2Client) settingsMissing() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.settings.seen {
		t.failLocked(&ConnError{By: ByLocal, Reason: noSettings + ", and calls did not wait for them (option WithEarlyCalls)",
			Cause: context.DeadlineExceeded})
	}
}

const noSettings = "the server sent no SETTINGS in time"

// greetedLocked says that the wait is over: they have come, or never will.
func (t *http2Client) greetedLocked() {
	if t.greeting != nil && (t.settings.seen || t.life == lifeClosed) {
		t.greeting.Stop()
		t.greeting = nil
	}
}

// errForeignProtocol is the cause of a connection's end if the server's first
// octets are those of another protocol: no call that went before them can have
// been understood.
var errForeignProtocol = errors.New("not HTTP/2")

// unprocessed reports whether the end of the connection left the stream's call
// untouched for certain.
func (st *stream) unprocessed(err *ConnError) bool {
	return errors.Is(err.Cause, errForeignProtocol)
}
