package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-rpc/weir/cmd/weir/internal/load"
	"github.com/weir-rpc/weir/cmd/weir/internal/peers"
)

// demoLoadServerCommand and demoLoadClientCommand are the processes that the
// demo starts. They speak JSON with it.
func demoLoadServerCommand() *cobra.Command {
	var peer string
	cmd := &cobra.Command{
		Use:    load.ServerCommand,
		Short:  "Serve the load of the demo",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: runs(func(cmd *cobra.Command) error {
			impl, err := named(peer)
			if err != nil {
				return err
			}
			return load.Serve(cmd.Context(), impl, cmd.InOrStdin(), cmd.OutOrStdout())
		}),
	}
	cmd.Flags().StringVar(&peer, load.PeerFlag, "", "implementation that serves")
	return cmd
}

func demoLoadClientCommand() *cobra.Command {
	var (
		peer, target string
		outstanding  int
	)
	cmd := &cobra.Command{
		Use:    load.ClientCommand,
		Short:  "Make the load of the demo",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: runs(func(cmd *cobra.Command) error {
			impl, err := named(peer)
			if err != nil {
				return err
			}
			return load.Call(cmd.Context(), impl, target, outstanding, cmd.InOrStdin(), cmd.OutOrStdout())
		}),
	}
	cmd.Flags().StringVar(&peer, load.PeerFlag, "", "implementation that calls")
	cmd.Flags().StringVar(&target, load.TargetFlag, "", "address of the server")
	cmd.Flags().IntVar(&outstanding, load.OutstandingFlag, 1, "calls at once")
	return cmd
}

func named(name string) (peers.Implementation, error) {
	impl, ok := peers.Named(name)
	if !ok {
		return impl, fmt.Errorf("--%s: expected weir or grpc-go; came %q", load.PeerFlag, name)
	}
	return impl, nil
}
