package orca

import (
	"github.com/weir-rpc/weir/internal/balance"
	"google.golang.org/grpc/metadata"
)

// Balancers get the reports in trailers, as balancer.DoneInfo.ServerLoad, in every
// program that has this package.
func init() {
	balance.ReadLoads(func(trailer metadata.MD) any {
		r, err := FromTrailer(trailer)
		if r == nil || err != nil {
			return nil
		}
		return r
	})
}
