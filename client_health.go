package weir

import (
	"context"

	"github.com/weir-rpc/weir/internal/balance"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// healthOptions are the options about checks of servers' health.
type healthOptions struct{ disabled bool }

// WithDisableHealthCheck disables the checks of servers' health that a service
// config asks for: healthCheckConfig, beside a balancer that heeds them, which
// round_robin does and pick_first does not. They need no import of grpc-go's
// package health.
//
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
func WithDisableHealthCheck() DialOption {
	return dialOption(func(c *clientConfig) { c.service.health.disabled = true })
}

// choose takes the service that a service config has checked, if it is not nil; p
// may be nil.
func (o *healthOptions) choose(service *string, p *balance.Policy) {
	if service != nil && p != nil && !o.disabled {
		p.Check(*service)
	}
}

// watchHealth tells what a server says of a service, until it says no more.
func watchHealth(ctx context.Context, c *Client, service string, tell func(serving bool, said string)) error {
	st, err := healthpb.NewHealthClient(c).Watch(ctx, &healthpb.HealthCheckRequest{Service: service})
	if err != nil {
		return err
	}
	for {
		in, err := st.Recv()
		if err != nil {
			return err
		}
		tell(in.GetStatus() == healthpb.HealthCheckResponse_SERVING, in.GetStatus().String())
	}
}
