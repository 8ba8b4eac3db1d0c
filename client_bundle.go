package weir

import (
	"errors"

	"google.golang.org/grpc/credentials"
)

// WithCredentialsBundle takes the credentials for connections and those for
// calls from a bundle, in the place of WithTransportCredentials; NewClient
// fails with both. What WithPerRPCCredentials adds comes before the bundle's.
//
// The Client does not call NewWithMode of the bundle: its modes are for
// balancers of grpc-go that choose another bundle for some of their connections
// (CredsBundle of balancer.NewSubConnOptions). Such a bundle counts there in
// place of this one, and secures those connections in place of
// WithTransportCredentials. Balancers and resolvers get the bundle as it is.
func WithCredentialsBundle(b credentials.Bundle) DialOption {
	return dialOption(func(c *clientConfig) { c.bundle = b })
}

// unbundle takes the credentials out of the bundle.
func (c *clientConfig) unbundle() error {
	b := c.bundle
	if b == nil {
		return nil
	}
	if c.creds != nil {
		return errors.New("weir: both WithCredentialsBundle and WithTransportCredentials are set: leave one of them out")
	}
	if c.creds = b.TransportCredentials(); c.creds == nil {
		return errors.New("weir: the bundle of WithCredentialsBundle has no TransportCredentials: insecure.NewCredentials() says that there is no security")
	}
	if p := b.PerRPCCredentials(); p != nil {
		c.perRPC = append(c.perRPC, p)
		c.bundled = 1
	}
	return nil
}
