package process

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
const lastWords = 30 * time.Second

// child is a process, seen from the one that started it. It is for one
// goroutine.
type child struct {
	name    string
	cmd     *exec.Cmd
	cancel  context.CancelFunc
	encoder *json.Encoder
	decoder *json.Decoder
	stderr  strings.Builder
}

// start runs the program, which calls Main. The end of ctx is the end of its
// input, and so of the process; stop waits for that.
func start(ctx context.Context, program string, s setup) (*child, hello, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := &child{name: fmt.Sprintf("%s of %s", s.Role, s.Peer), cmd: exec.CommandContext(ctx, program, Argument), cancel: cancel}
	if err := c.launch(); err != nil {
		cancel()
		return nil, hello{}, err
	}
	var h hello
	if err := c.exchange(s, &h); err != nil {
		return nil, hello{}, err
	}
	return c, h, nil
}

func (c *child) launch() error {
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	c.cmd.Stderr = &c.stderr
	c.cmd.Cancel = stdin.Close
	c.cmd.WaitDelay = lastWords
	c.encoder, c.decoder = json.NewEncoder(stdin), json.NewDecoder(stdout)
	return c.cmd.Start()
}

// ask sends the request and reads the reply.
func (c *child) ask(req request) (rep reply, err error) {
	if err := c.exchange(req, &rep); err != nil {
		return rep, err
	}
	if rep.Error != "" {
		return rep, fmt.Errorf("%s: %s", c.name, rep.Error)
	}
	return rep, nil
}

func (c *child) exchange(req, rep any) error {
	if err := c.encoder.Encode(req); err != nil {
		return c.gone(err)
	}
	if err := c.decoder.Decode(rep); err != nil {
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
	return fmt.Errorf("%s: expected an answer; came %w: %s", c.name, err, words)
}

// stop ends the process and waits for it. It fails when the process did not
// end well, or had to be killed. A second call does nothing.
func (c *child) stop() error {
	if c.cmd.ProcessState != nil {
		return nil
	}
	c.cancel()
	if err := c.cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: expected a clean end within %v; came %w", c.name, lastWords, err)
	}
	return nil
}
