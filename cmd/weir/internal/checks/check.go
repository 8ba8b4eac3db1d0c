// Package checks calls a gauge over a pairing of implementations and compares
// what came with what should have come.
package checks

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// Patience is what a check may take on a machine that has little else to do.
const Patience = 5 * time.Second

// Check is one call, or a few that belong together, and what is asked of them.
type Check struct {
	// Call names what is called, in a word or two.
	Call string

	// Checked tells what a good result proves, in one short line.
	Checked string

	run func(ctx context.Context, s *Station) error
}

// All are the checks in the order in which they run. The last stops the
// station.
func All() []Check {
	return []Check{
		{"unary", "each field of the reply", unary},
		{"client streaming", "sum and hash of 100 messages", clientStreaming},
		{"server streaming", "1,000 messages, in order", serverStreaming},
		{"bidi streaming", "100 times one message each way", bidiStreaming},
		{"metadata", "text and -bin, back both ways", roundTripMetadata},
		{"status", "code, UTF-8 message and details", statusWithDetails},
		{"unknown method", "UNIMPLEMENTED", unknownMethod},
		{"deadline", "the server sees it, both end", deadline},
		{"cancel", "the handler's context ends", cancel},
		{"20 MiB message", "intact both ways", largeMessage},
		{"message limit", "5 MiB stop at the default 4 MiB", messageLimit},
		{"gzip", "1 MiB in a 16th on the wire", compressed},
		{"1,000 at once", "each has its own reply", manyAtOnce},
		{"stop", "Serve returns, the port closes", stop},
	}
}

// MismatchError says what was expected and what came instead.
type MismatchError struct {
	What, Want, Got string
}

func (m *MismatchError) Error() string {
	return fmt.Sprintf("%s: expected %s; came %s", m.What, m.Want, m.Got)
}

// Outcome is what became of a check. Err is nil when all was as expected.
type Outcome struct {
	Check

	Err  error
	Took time.Duration
}

// Run runs a check for the station's patience at most. After a check that does not even
// notice that its time is over, all later checks of the station fail.
func (s *Station) Run(ctx context.Context, c Check) Outcome {
	if s.stuck != "" {
		return Outcome{Check: c, Err: &MismatchError{c.Call, "to be called", "nothing: " + s.stuck + " still blocks"}}
	}
	started := time.Now()
	limited, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.run(limited, s) }()
	var err error
	select {
	case err = <-done:
	case <-limited.Done():
		select {
		case err = <-done:
		case <-time.After(s.grace):
			s.stuck = c.Call
			err = &MismatchError{c.Call, "an answer", fmt.Sprintf("none in %v, and the end of the context did not end the call", s.patience+s.grace)}
		}
	}
	if ctx.Err() != nil {
		err = ctx.Err() // whatever it is about, it was cut short
	}
	return Outcome{Check: c, Err: err, Took: time.Since(started)}
}

// wantReply wraps the error of a call that should have been answered.
func wantReply(call string, err error) error {
	if err == nil {
		return nil
	}
	return &MismatchError{call, "a reply", describe(err)}
}

// wantCode fails unless err is a status with the code.
func wantCode(call string, err error, code codes.Code) error {
	if status.Code(err) == code {
		return nil
	}
	return &MismatchError{call, "the status " + code.String(), describe(err)}
}

func wantEqual[T comparable](what string, want, got T) error {
	if want == got {
		return nil
	}
	return &MismatchError{what, fmt.Sprintf("%v", want), fmt.Sprintf("%v", got)}
}

func wantMessage(what string, want, got proto.Message) error {
	if proto.Equal(want, got) {
		return nil
	}
	return &MismatchError{what, short(want), short(got)}
}

// wantOctets is for octets that are too many to print.
func wantOctets(what string, want, got []byte) error {
	if bytes.Equal(want, got) {
		return nil
	}
	if len(want) != len(got) {
		return &MismatchError{what, fmt.Sprintf("%d octets", len(want)), fmt.Sprintf("%d octets", len(got))}
	}
	at := 0
	for want[at] == got[at] {
		at++
	}
	return &MismatchError{
		what, fmt.Sprintf("%#02x at octet %d", want[at], at),
		fmt.Sprintf("%#02x", got[at]),
	}
}

func describe(err error) string {
	if err == nil {
		return "no error"
	}
	if st, ok := status.FromError(err); ok {
		return fmt.Sprintf("%v %q", st.Code(), st.Message())
	}
	return err.Error()
}

// short is a message on one line, cut when that gets long.
func short(m proto.Message) string {
	text := prototext.MarshalOptions{EmitASCII: true}.Format(m)
	text = strings.Join(strings.Fields(text), " ")
	const most = 120
	switch {
	case text == "":
		return "an empty message"
	case len(text) > most:
		return text[:most] + " ..."
	default:
		return text
	}
}
