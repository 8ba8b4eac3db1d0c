package serverstream

import (
	"errors"
	"io"
	"testing"

	"github.com/weir-rpc/weir/transport"
)

var errBroken = errors.New("broken")

// A request is one message and its end, and what is received beside that is
// given back: the package's TestMain counts buffers.
func TestRequest(t *testing.T) {
	for name, tt := range map[string]struct {
		messages int
		end      error
		want     error
	}{
		"one message":               {1, io.EOF, nil},
		"none":                      {0, io.EOF, io.EOF},
		"two":                       {2, io.EOF, transport.ErrManyMessages},
		"broken before its message": {0, errBroken, errBroken},
		"broken behind it":          {1, errBroken, errBroken},
	} {
		t.Run(name, func(t *testing.T) {
			left := tt.messages
			m, err := Request(func() (transport.Message, error) {
				if left == 0 {
					return transport.Message{}, tt.end
				}
				left--
				return transport.NewBuffer(8).Message(), nil
			})
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("the error is %v, want %v", err, tt.want)
			}
			if (len(m.Data) == 8) != (tt.want == nil) {
				t.Errorf("a message of %d octets came with the error %v", len(m.Data), err)
			}
			m.Free()
		})
	}
}
