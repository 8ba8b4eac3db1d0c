// Package balance hosts balancers of grpc's public interface: it gives them the
// connections that they ask for, tells them of their states, and hands on the
// pickers that they make. It knows no calls and no names.
package balance
