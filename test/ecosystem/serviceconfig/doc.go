// Package serviceconfig compares how weir and grpc-go read service configs, with
// every balancer that grpc-go registers.
package serviceconfig
