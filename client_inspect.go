package weir

import (
	"github.com/weir-rpc/weir/inspect"
)

// inspectConfig says where a Client or Server can be looked at.
type inspectConfig struct {
	set      bool
	registry *inspect.Registry
}

// WithInspectRegistry puts the Client in r, where package inspect, and through
// it channelz and metrics, show it until Close. Without the option it is in
// inspect.Default. With nil it is in none.
func WithInspectRegistry(r *inspect.Registry) DialOption {
	return dialOption(func(c *clientConfig) { c.inspect = inspectConfig{true, r} })
}

// inspection is where somebody can be looked at. Immutable.
type inspection struct {
	registry *inspect.Registry // nil if nowhere
	id       int64
	chosen   int64 // of the subchannel of a Client's own pick_first; a server has no use for it
}

func (i *inspection) begin(cfg inspectConfig) {
	i.registry = cfg.registry
	if !cfg.set {
		i.registry = inspect.Default
	}
	i.id, i.chosen = inspect.NextID(), inspect.NextID()
}

func (i *inspection) end() { i.registry.Remove(i.id) }

// InspectID gives the id that the Client has in its inspect.Registry.
func (c *Client) InspectID() int64 { return c.inspect.id }

// InspectClient gives a snapshot of the Client, which its inspect.Registry asks
// for.
func (c *Client) InspectClient(d inspect.Detail) inspect.Client {
	s := c.ch.Inspect(d)
	s.ID = c.inspect.id
	for i := range s.Subchannels {
		if s.Subchannels[i].ID == 0 {
			s.Subchannels[i].ID = c.inspect.chosen
		}
	}
	return s
}

// InspectConnections gives the connections that have not ended.
func (c *Client) InspectConnections() []inspect.Connection { return c.ch.InspectConnections() }
