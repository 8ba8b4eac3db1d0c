package channel

import (
	"time"

	"github.com/weir-rpc/weir/transport"
)

// config is what the next connection is made with.
func (d *dialer) config() transport.ClientConfig {
	d.mu.Lock()
	defer d.mu.Unlock()
	cfg := d.transport
	cfg.TooManyPings = d.calm
	return cfg
}

// calm says that a server got too many PING frames on a connection with this
// Time in effect: those that follow send fewer.
func (d *dialer) calm(used time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.transport.Keepalive = transport.Calmer(d.transport.Keepalive, used)
}
