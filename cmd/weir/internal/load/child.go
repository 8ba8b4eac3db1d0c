package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// lastWords is how long a process may take to end after its input has ended,
// before it is killed. It is long: the machine may be busy.
const lastWords = 10 * time.Second

// child is a process of the load, seen from the one that started it. It is for
// one goroutine.
type child struct {
	name    string
	cmd     *exec.Cmd
	cancel  context.CancelFunc
	encoder *json.Encoder
	decoder *json.Decoder
	stderr  strings.Builder
}

// start runs the program. The end of ctx is the end of its input, and so of
// the process; stop waits for that.
func start(ctx context.Context, program string, args ...string) (*child, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := &child{name: strings.Join(args, " "), cmd: exec.CommandContext(ctx, program, args...), cancel: cancel}
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	c.cmd.Stderr = &c.stderr
	c.cmd.Cancel = stdin.Close
	c.cmd.WaitDelay = lastWords
	c.encoder, c.decoder = json.NewEncoder(stdin), json.NewDecoder(stdout)
	if err := c.cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	return c, nil
}

// ask sends the request and reads the reply.
func (c *child) ask(request, reply any) error {
	if err := c.encoder.Encode(request); err != nil {
		return c.gone(err)
	}
	return c.hear(reply)
}

// hear reads a reply that needs no request.
func (c *child) hear(reply any) error {
	if err := c.decoder.Decode(reply); err != nil {
		return c.gone(err)
	}
	return nil
}

// gone tells what a process said before it stopped to answer. It ends the
// process, because only then its last words are all there.
func (c *child) gone(err error) error {
	if errors.Is(err, io.EOF) {
		err = errors.New("nothing")
	}
	ended := c.stop()
	words := strings.TrimSpace(c.stderr.String())
	if words == "" && ended != nil {
		words = ended.Error()
	}
	return fmt.Errorf("process %q: expected an answer; came %w %s", c.name, err, words)
}

// stop ends the process and waits for it. It fails when the process did not
// end well, or had to be killed. A second call does nothing.
func (c *child) stop() error {
	if c.cmd.ProcessState != nil {
		return nil
	}
	c.cancel()
	if err := c.cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("process %q: expected a clean end within %v; came %w", c.name, c.cmd.WaitDelay, err)
	}
	return nil
}
